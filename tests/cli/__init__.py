"""Tests of the `postwatch` command."""
