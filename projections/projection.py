"""What a projection is: tables, and a pure fold from a record and an event to a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from projections.definition import definition_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.log_reader import LoggedEvent
    from projections.view import Record, Table, Transaction

Fold = Callable[["Record | None", Any], "Record | None"]


@dataclass(frozen=True, slots=True)
class Document:
    """Which row an event changes, and how. `fold` is pure: the same event, the same row.

    `replaces` says that it never looks at the record before, so that of many events on one
    row only the last needs to be folded.
    """

    table: Table
    key_of: Callable[[Any], str]
    fold: Fold
    replaces: bool = False


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
        return definition_of(self.version, self.tables)

    def apply(self, events: Iterable[LoggedEvent], transaction: Transaction) -> None:
        """Fold events into the rows of a transaction, reading and writing each row once."""
        changed: dict[tuple[str, str], _Change] = {}
        for _, event in events:
            document = self.documents.get(type(event))
            if document is None:
                continue
            place = (document.table.name, document.key_of(event))
            change = changed.get(place)
            if change is None:
                change = changed[place] = _Change(document.table, place[1], transaction)
            change.add(document, event)
        rows: dict[str, tuple[Table, list[tuple[str, Record | None]]]] = {}
        for (name, key), change in changed.items():
            rows.setdefault(name, (change.table, []))[1].append((key, change.record()))
        for table, written in rows.values():
            transaction.put_all(table, written)


class _Change:
    """What a batch of events makes of one row. Read and folded as late as can be."""

    __slots__ = ("_known", "_pending", "_record", "_transaction", "key", "table")

    def __init__(self, table: Table, key: str, transaction: Transaction) -> None:
        self.table = table
        self.key = key
        self._transaction = transaction
        self._known = False
        self._record: Record | None = None
        self._pending: tuple[Document, Any] | None = None

    def add(self, document: Document, event: Any) -> None:  # noqa: ANN401 - any event
        """Take the next event; one that replaces the row makes those before it forgotten."""
        if not document.replaces:
            self._record = document.fold(self.record(), event)
            return
        self._known = True
        self._pending = (document, event)

    def record(self) -> Record | None:
        """Return the row as it is now."""
        if self._pending is not None:
            document, event = self._pending
            self._record, self._pending = document.fold(None, event), None
        elif not self._known:
            self._record = self._transaction.get(self.table, self.key)
        self._known = True
        return self._record
