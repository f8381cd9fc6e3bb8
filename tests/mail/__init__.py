"""Tests of the prober: dialogues without I/O, then real and hostile servers."""
