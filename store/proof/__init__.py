"""Proof that a log was not changed: a Merkle tree over its events, and signed heads of it.

RFC 9162 section 2.1 (the tree is that of RFC 6962). docs/proof.md says what is proven.
"""
