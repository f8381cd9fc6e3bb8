"""The storage of views: the only SQL of the projections."""
