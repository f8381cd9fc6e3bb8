"""Commands that export, import, back up, restore and archive."""
