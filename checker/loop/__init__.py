"""The loop of the checker: it follows the monitors, builds targets and runs the due checks."""
