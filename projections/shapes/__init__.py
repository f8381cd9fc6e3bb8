"""The documented JSON of the API, as pure functions of records."""
