"""Old checks in compressed files beside the log, read as if they still stood in it.

docs/archive.md describes the files. Knows rows as the log stores them; no monitors.
"""
