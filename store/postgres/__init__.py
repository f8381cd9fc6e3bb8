"""The logs, keys and proofs in a PostgreSQL database."""
