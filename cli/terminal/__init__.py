"""What all commands share: arguments, output, progress, sessions on a store."""
