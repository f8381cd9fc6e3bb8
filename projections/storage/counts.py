"""The names of the counts that a view keeps beside a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def count_key(values: Mapping[str, Any], columns: Iterable[str]) -> str:
    """Return the name of the count of rows that have these values."""
    return json.dumps({each: values[each] for each in columns})
