"""Carrying a whole store elsewhere: exports as lines of JSON, backups as copies of files.

docs/export.md describes the format for those who read it without this code.
"""
