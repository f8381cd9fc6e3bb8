"""The logs, keys and proofs in SQLite files of a data folder."""
