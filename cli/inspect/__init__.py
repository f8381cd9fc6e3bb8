"""Commands that show: one check, history, uptime, the log and its proofs."""
