"""The rows that a batch of events changes: read at once, written at once.

Where a view lies on another machine, asking for one row takes as long as for hundreds.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from domain.log_reader import LoggedEvent
    from projections.view import Record, Table, Transaction

READ_AT_ONCE: Final = 2000
"""Events whose rows are read at once. No more of them are in memory."""


class Rows:
    """Rows of a transaction, read once and written at the end."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._found: dict[str, dict[str, Record | None]] = {}
        self._changed: dict[str, tuple[Table, dict[str, Record | None]]] = {}

    def read(self, table: Table, keys: Iterable[str]) -> None:
        """Read rows that will be needed, but for those that were read already."""
        found = self._found.setdefault(table.name, {})
        unknown = [key for key in dict.fromkeys(keys) if key not in found]
        if unknown:
            found.update(dict.fromkeys(unknown))
            found.update(self._transaction.get_all(table, unknown))

    def get(self, table: Table, key: str) -> Record | None:
        """Return a row as it is by now."""
        found = self._found.setdefault(table.name, {})
        if key not in found:
            found[key] = self._transaction.get(table, key)
        return found[key]

    def put(self, table: Table, key: str, record: Record | None) -> None:
        """Change a row; None removes it."""
        self._found.setdefault(table.name, {})[key] = record
        self._changed.setdefault(table.name, (table, {}))[1][key] = record

    def write(self) -> None:
        """Write what changed, table by table."""
        for table, rows in self._changed.values():
            self._transaction.put_all(table, rows.items())


def portions(events: Iterable[LoggedEvent]) -> Iterator[list[LoggedEvent]]:
    """Yield events, which may be decoded one after the other, in lists of a bounded length."""
    source = iter(events)
    while portion := list(islice(source, READ_AT_ONCE)):
        yield portion
