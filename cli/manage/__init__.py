"""Commands that change organizations, customers, tokens, locations and keys."""
