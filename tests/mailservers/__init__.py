"""Mail servers for tests, all on loopback, each stopped by whoever started it.

Every server is a context manager that needs no event loop, so that tests which start
real processes can use it as well as tests on trio.
"""
