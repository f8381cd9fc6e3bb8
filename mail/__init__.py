"""Speaks to mail servers: `prober` contacts one, `protocols` and `net` are its parts.

Knows the values of `domain`, and nothing of logs, schedules and HTTP.
"""
