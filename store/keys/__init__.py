"""Data keys that seal secrets, the master key that wraps them, and its rotation."""
