"""What is true: monitors, customers, tokens and checks as events, and the commands on them.

Pure Python over `eventsourcing`: no HTTP, no SQL, no sockets and no views.
"""
