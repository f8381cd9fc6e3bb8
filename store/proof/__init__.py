"""Proves that a log was not changed: a Merkle tree over its events, and signed tree heads.

RFC 9162 section 2.1 (the same tree as in RFC 6962). docs/proof.md says what this proves.
"""
