"""The name by which Python runs Postwatch: `python -m postwatch`."""
