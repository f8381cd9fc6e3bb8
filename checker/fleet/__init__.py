"""How several checkers of one location share its monitors: shards, leases, liveness."""
