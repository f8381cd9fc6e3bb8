"""One file for each family of URLs."""
