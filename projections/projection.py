"""What a projection is: tables, and a pure fold from a record and an event to a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from projections.definition import definition_of
from projections.rows import Rows, portions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.log_reader import LoggedEvent
    from domain.store import Store
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
    batch: int = 500
    """Events a transaction. Where nobody waits for one of them, more of them share its cost."""
    rebuild_batch: int = 500
    """Events that a rebuild folds and then writes at once. Where many of them change the same
    rows, many at once save most of the writing; where each has its own, others wait longer."""
    rest_seconds: float = 0
    """How long the projections process lets a view be after each catching up: events that come
    meanwhile share the cost of the next one."""

    def __post_init__(self) -> None:
        for name in {each.table.name for each in self.documents.values() if each.replaces}:
            if not all(
                each.replaces for each in self.documents.values() if each.table.name == name
            ):
                raise ValueError(f"the events of {name} must all replace a row, or none of them")

    @property
    def definition(self) -> str:
        """Return what a stored view must have been made by to be usable.

        Raise `version` when a fold changes its result; the tables speak for themselves.
        """
        return definition_of(self.version, self.tables)

    def bound(self, store: Store) -> Self:
        """Return the projection with what it reads beside its log; most read nothing else."""
        del store
        return self

    def apply(self, events: Iterable[LoggedEvent], transaction: Transaction) -> None:
        """Fold events into the rows of a transaction, reading and writing each row once."""
        rows = Rows(transaction)
        newest: dict[str, tuple[Table, dict[str, Any]]] = {}
        for portion in portions(events):
            changes: list[tuple[Document, str, Any]] = []
            for _, event in portion:
                document = self.documents.get(type(event))
                if document is not None and document.replaces:
                    of_table = newest.setdefault(document.table.name, (document.table, {}))
                    of_table[1][document.key_of(event)] = event
                elif document is not None:
                    changes.append((document, document.key_of(event), event))
            self._fold(changes, rows)
        for table, events_by_key in newest.values():
            for key, event in events_by_key.items():
                rows.put(table, key, self.documents[type(event)].fold(None, event))
        rows.write()

    def _fold(self, changes: Sequence[tuple[Document, str, Any]], rows: Rows) -> None:
        for table in self.tables:
            rows.read(table, (key for document, key, _ in changes if document.table is table))
        for document, key, event in changes:
            rows.put(document.table, key, document.fold(rows.get(document.table, key), event))
