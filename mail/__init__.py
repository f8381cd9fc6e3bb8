"""Speaks to mail servers: dialogues, sockets, TLS, names, network policy, the prober.

Knows the values of `domain`; knows nothing of logs, of schedules or of HTTP.
"""
