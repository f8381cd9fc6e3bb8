"""Counters of requests for the rate limit, on both engines."""
