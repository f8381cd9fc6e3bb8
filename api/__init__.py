"""The REST API: HTTP only.

Turns requests into commands of the domain, and records of the views into documented
JSON. Knows nothing of trio or of how servers are checked.
"""
