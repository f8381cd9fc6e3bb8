"""The `postwatch` command: thin, each sub-command calls into a package."""
