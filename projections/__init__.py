"""Views: what is shown, folded from the logs. They can be deleted and rebuilt.

This package knows events and records; it knows nothing of HTTP or of mail servers. Its SQL is in
`projections.storage` only.
"""
