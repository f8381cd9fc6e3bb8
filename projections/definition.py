"""What a stored view was made by, as a text that is kept beside its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from projections.view import Table

ANOTHER_HISTORY: Final = ""
"""The definition of a side whose rows show other events than the log has: fits nothing."""


_READ: Final = ("columns", "counted", "searched")
"""What of a table decides what a query finds in it; indexes only decide how fast."""


def definition_of(version: int, tables: Iterable[Table]) -> str:
    """Return the definition of a view: the version of its folds, and its tables."""
    described = {
        each.name: {
            "columns": each.columns,
            "indexes": each.indexes,
            "counted": each.counted,
            "searched": each.searched,
        }
        for each in tables
    }
    return orjson.dumps({"version": version, "tables": described}).decode()


def is_readable(stored: str, wanted: str) -> bool:
    """Return whether rows made by one definition can be read by who knows another.

    They can while the folds are the same and every table that both have is the same: a
    table that was added later keeps nobody from reading the others.
    """
    if stored == wanted:
        return True
    try:
        one, other = orjson.loads(stored), orjson.loads(wanted)
        return bool(one["version"] == other["version"]) and all(
            [table[each] for each in _READ] == [other["tables"][name][each] for each in _READ]
            for name, table in one["tables"].items()
            if name in other["tables"]
        )
    except (ValueError, KeyError, TypeError):
        # Made before definitions were written like this.
        return False
