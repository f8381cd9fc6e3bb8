"""What is shown: views folded from the logs, which can be thrown away and rebuilt.

Knows events and records; knows nothing of HTTP or of mail servers. SQL stands only in
`projections.storage`.
"""
