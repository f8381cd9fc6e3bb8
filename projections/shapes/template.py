"""Templates: JSON with `%s` in the place of values that other rows have.

The views store them, and a query fills them, so that reading a list makes no object of each item.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

_MARKER: Final = "\x01"
"""In no JSON text: there it is escaped."""

PLACEHOLDER: Final[Any] = orjson.Fragment(_MARKER)


def as_template(shape: dict[str, Any]) -> str:
    """Return the JSON of a shape with `%s` for each placeholder; `%` is doubled."""
    return orjson.dumps(shape).decode().replace("%", "%%").replace(_MARKER, "%s")
