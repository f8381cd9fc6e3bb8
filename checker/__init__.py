"""Watches and reports: contacts mail servers on schedule and records each check.

Knows the logs in `domain`; knows nothing of HTTP, of the API or of views.
"""
