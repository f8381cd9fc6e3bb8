"""What a batch of events makes of a side that nobody else writes to, worked out before the lock.

So a view is locked for the writing alone, and not while events are read and folded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.storage.locks import LostError
from projections.view import Record, Side, Table, Transaction, View

if TYPE_CHECKING:
    from collections.abc import Iterable


class Draft(Transaction):
    """Takes the place of a transaction while a projection folds: reads the side, gathers rows.

    A projection reads a row at most once and before it writes it, so that what was gathered
    need not be found again.
    """

    def __init__(self, view: View, side: Side) -> None:
        self._view = view
        self._side: Side = side
        self._rows: list[tuple[Table, list[tuple[str, Record | None]]]] = []
        self._from = view.position(side)
        self._reached: tuple[int, str] | None = None

    def position(self) -> int:
        """Return the position of the last event that the rows show."""
        return self._reached[0] if self._reached else self._from

    def set_position(self, position: int, mark: str = "") -> None:
        """Note up to which event the rows show the log, and what that event is."""
        self._reached = (position, mark)

    def get(self, table: Table, key: str) -> Record | None:
        """Return a record."""
        return self._view.get(table, key, self._side)

    def get_all(self, table: Table, keys: Iterable[str]) -> dict[str, Record]:
        """Return the records that there are of some keys."""
        return self._view.get_all(table, keys, self._side)

    def put(self, table: Table, key: str, record: Record | None) -> None:
        """Gather a record."""
        self._rows.append((table, [(key, record)]))

    def put_all(self, table: Table, rows: Iterable[tuple[str, Record | None]]) -> None:
        """Gather many records."""
        self._rows.append((table, list(rows)))

    def write(self) -> None:
        """Lock the side and write what was gathered, with the position, in one transaction.

        Raises LostError, and writes nothing, when somebody else has moved the side meanwhile:
        a process that was frozen may find its work done, and would spoil it.
        """
        with self._view.transaction(self._side) as transaction:
            if transaction.position() != self._from:
                raise LostError("another process goes on with this rebuild")
            for table, rows in self._rows:
                transaction.put_all(table, rows)
            if self._reached is not None:
                transaction.set_position(*self._reached)
