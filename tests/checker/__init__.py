"""Tests of the checker around the probe: configuration, schedule, feed, recorder, run."""
