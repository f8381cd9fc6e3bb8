"""Short runs of the soak program."""
