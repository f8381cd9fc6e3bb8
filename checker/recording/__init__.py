"""From an outcome to an event in the `checks` log."""
