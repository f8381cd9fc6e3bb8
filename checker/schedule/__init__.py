"""When each monitor is due: the grid of due times, the heap, the wall clock."""
