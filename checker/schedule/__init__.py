"""When each monitor is due: the grid of due times, the schedule, the wall clock."""
