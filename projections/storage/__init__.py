"""Where views are kept: the only SQL of the projections."""
