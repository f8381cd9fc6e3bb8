"""Several checkers of one location share its monitors by shards with leases."""
