"""Tests of what is true: events, commands, secrets, logs."""
