"""What is true: monitors, customers, tokens and checks as events.

Knows nothing of HTTP, of trio or of views. SQL stands only in `store`.
"""
