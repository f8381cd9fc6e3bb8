"""Tests of logs, keys, proofs, archives and transfers, on both engines."""
