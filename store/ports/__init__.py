"""Interfaces that both engines implement, and the errors that they raise."""
