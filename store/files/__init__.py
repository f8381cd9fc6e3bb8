"""Files of a data folder that are not databases: locks, tree heads, segments."""
