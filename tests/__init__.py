"""Tests, and the support that several of them share."""
