"""Tests of the checker: dialogues without I/O, then real and hostile servers."""
