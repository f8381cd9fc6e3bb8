"""Where the API keeps what its workers share: the only SQL of the API."""
