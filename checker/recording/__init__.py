"""How finished checks get into the `checks` log: queue, batches, and no due time twice."""
