"""What an update really changes."""

from __future__ import annotations

from typing import Any


def real_changes(asked: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    """Return those of the asked changes that differ from the current fields.

    Values are compared as JSON compares them: true is not 1. Raises KeyError on a field
    that the thing does not have.
    """
    return {name: value for name, value in asked.items() if not is_same(value, current[name])}


def is_same(one: object, other: object) -> bool:
    """Return whether two JSON values are the same to a reader of JSON: true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return one == other
