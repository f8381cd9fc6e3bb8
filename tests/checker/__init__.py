"""Tests of the checker around the probe: registry, schedule, event feed, recorder, fleet, run."""
