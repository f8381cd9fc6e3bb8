"""Where logs and keys are kept: the only SQL of the domain."""
