"""What the service costs, measured as ratios on one machine in one run."""
