"""Mail servers for tests, all on loopback.

Every server is a context manager that stops the server at its end. None needs an event loop,
so tests that start real processes use them as well as tests on trio.
"""
