"""The checker: contacts mail servers on schedule and records each check.

Reads and writes the logs of `store`; knows nothing of HTTP, of the API or of views.
"""
