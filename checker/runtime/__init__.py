"""What the process of a checker needs: limits, metrics, retries of the store, loop lag."""
