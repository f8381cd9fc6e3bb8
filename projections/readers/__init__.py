"""Readers: what the API and the commands ask of a view."""
