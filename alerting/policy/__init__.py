"""The incident policy: facts and the time in, decisions out. No I/O, and no clock of its own."""
