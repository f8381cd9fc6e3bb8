"""Tests of what is shown: views, folds, rebuilds."""
