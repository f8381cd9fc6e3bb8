"""The running checks: which monitors, which targets, what is checked now."""
