"""The machinery that all views share: folding in batches, rebuilding, verifying."""
