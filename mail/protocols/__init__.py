"""Sans-I/O dialogues: they take the lines of a server and return the commands to send."""
