"""What all resources share: bodies, parameters, errors, authentication, rate limit."""
