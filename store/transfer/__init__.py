"""Moves a whole store: exports as lines of JSON, backups as copies of files.

docs/export.md describes the export for programs that read it without this code.
"""
