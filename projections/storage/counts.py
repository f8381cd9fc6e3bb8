"""The names of the counts that a view keeps beside a table."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_KNOWN_KEYS: Final = 1000


def count_key(values: Mapping[str, Any], columns: Iterable[str]) -> str:
    """Return the name of the count of rows that have these values."""
    return _as_json(tuple((each, values[each]) for each in columns))


@lru_cache(_KNOWN_KEYS)
def _as_json(items: tuple[tuple[str, Any], ...]) -> str:
    return json.dumps(dict(items))
