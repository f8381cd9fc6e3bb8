"""Tests that inject faults: kills, a full disk, torn files, power cuts, any order of commands.

Each scenario runs briefly with the other tests. `make soak` runs the same scenarios for a given
time and prints figures.
"""
