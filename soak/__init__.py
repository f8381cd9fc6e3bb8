"""What must hold whatever happens: kills, a full disk, torn files, power cuts, any order of deeds.

The tests here are short and run with all others; `make soak` runs the same for as long as
it is told to, and prints figures.
"""
