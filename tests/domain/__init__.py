"""Tests of the domain: events, commands, secrets, logs."""
