"""Tests of the REST API, in process, on real files."""
