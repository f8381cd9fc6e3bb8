"""Archived checks: compressed files beside the log, which readers see as part of it.

docs/archive.md describes the files. This package knows raw rows of a log, and no monitors.
"""
