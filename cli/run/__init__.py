"""Commands that run a part of the service, or prepare its store."""
