"""The REST API: HTTP only.

Turns requests into commands of the domain, and records of the views into documented JSON. Does
not depend on trio or on how servers are checked.
"""
