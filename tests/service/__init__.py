"""Tests of processes: settings, failures, opening a store."""
