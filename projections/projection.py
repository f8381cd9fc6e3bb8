"""What a projection is: tables, and a pure fold from a record and an event to a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.log_reader import LoggedEvent
    from projections.view import Record, Table, Transaction

Fold = Callable[["Record | None", Any], "Record | None"]


@dataclass(frozen=True, slots=True)
class Document:
    """Which row an event changes, and how. `fold` is pure: the same event, the same row."""

    table: Table
    key_of: Callable[[Any], str]
    fold: Fold


@dataclass(frozen=True, slots=True)
class Projection:
    """A view's definition. `documents` maps an event class to the row that it changes.

    Events of other classes move the position and nothing else.
    """

    name: str
    log: str
    tables: tuple[Table, ...]
    documents: dict[type, Document]
    version: int = 1

    @property
    def definition(self) -> str:
        """Return what a stored view must have been made by to be usable.

        Raise `version` when a fold changes its result; the tables speak for themselves.
        """
        tables = [
            (each.name, dict(each.columns), each.indexes, each.counted, each.searched)
            for each in self.tables
        ]
        return f"{self.version} {tables}"

    def apply(self, events: Iterable[LoggedEvent], transaction: Transaction) -> None:
        """Fold events into the rows of a transaction, reading and writing each row once."""
        changed: dict[tuple[str, str], tuple[Table, Record | None]] = {}
        for _, event in events:
            document = self.documents.get(type(event))
            if document is None:
                continue
            key = document.key_of(event)
            name = document.table.name
            if (name, key) in changed:
                before = changed[name, key][1]
            else:
                before = transaction.get(document.table, key)
            changed[name, key] = (document.table, document.fold(before, event))
        for (_, key), (table, record) in changed.items():
            transaction.put(table, key, record)
