"""A projection: tables, and pure folds from a record and an event to the next record.

A view stores two texts beside its rows: the definition of the projection that made them, and
the identity of the last event that they include. The definition shows whether another version
of the code made the view. The identity shows whether the log was restored from a backup and has
grown differently since: then it has another event at the same position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from projections.core.joined_log import mark_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from projections.core.table import Record, Table, Transaction
    from store.log_reader import LoggedEvent
    from store.store import Store


RowFold = Callable[["Record | None", Any], "Record | None"]

EVENTS_AT_ONCE: Final = 2000
"""The most events in memory at a time; their rows are read by one query."""

_DECIDES_RESULTS: Final = ("columns", "counted", "searched")
"""What of a table decides which rows a query finds. Indexes only decide how fast."""


@dataclass(frozen=True, slots=True)
class EventHandler:
    """Which row an event changes, and how. `fold` is pure: the same event, the same row.

    `replaces`: the fold ignores the record before, so that of many events on one row only the
    last one is folded.
    """

    table: Table
    key_of: Callable[[Any], str]
    fold: RowFold
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Projection:
    """The definition of a view. `handlers` maps an event class to the change of its row.

    Events of other classes only move the position.
    """

    name: str
    log: str
    tables: tuple[Table, ...]
    handlers: dict[type, EventHandler]
    version: int = 1
    """Raise it when a fold changes its result."""
    batch: int = 500
    """The most events a transaction. Views whose events no request waits for take more."""
    rebuild_batch: int = 500
    """The most events that a rebuild folds and then writes at once. More of them save writing
    where many change the same rows, but other writers wait longer."""
    rest_seconds: float = 0
    """The pause of the projections process after each catch-up of the view: events recorded
    meanwhile share the cost of the next one."""
    joined: tuple[str, ...] = ()
    """Further logs that the view is folded from; then its folds commute between logs."""

    def __post_init__(self) -> None:
        for name in {each.table.name for each in self.handlers.values() if each.replaces}:
            if not all(each.replaces for each in self.handlers.values() if each.table.name == name):
                raise ValueError(f"the events of {name} must all replace a row, or none of them")

    @property
    def definition(self) -> str:
        """Return the version of the folds and the tables as a text; a stored view keeps it."""
        return definition_of(self.version, self.tables)

    def bound(self, store: Store) -> Self:
        """Return the projection with what it reads beside its log; most read nothing else."""
        del store
        return self

    def apply(self, events: Iterable[LoggedEvent], transaction: Transaction) -> int:
        """Fold events and set the position behind them; return how many there were.

        `events` may be decoded one by one: an event that is folded is not kept.
        """
        counter = _EventCounter(events)
        self.fold(counter, transaction)
        if counter.last is not None:
            transaction.set_position(counter.last.position, mark_of(counter.last))
        return counter.count

    def fold(self, events: Iterable[LoggedEvent], transaction: Transaction) -> None:
        """Fold events into the rows of a transaction; each row is read and written once."""
        rows = RowBuffer(transaction)
        newest: dict[str, tuple[Table, dict[str, Any]]] = {}
        for batch in batched(events):
            changes: list[tuple[EventHandler, str, Any]] = []
            for _, event in batch:
                handler = self.handlers.get(type(event))
                if handler is not None and handler.replaces:
                    of_table = newest.setdefault(handler.table.name, (handler.table, {}))
                    of_table[1][handler.key_of(event)] = event
                elif handler is not None:
                    changes.append((handler, handler.key_of(event), event))
            self._fold(changes, rows)
        for table, events_by_key in newest.values():
            for key, event in events_by_key.items():
                rows.put(table, key, self.handlers[type(event)].fold(None, event))
        rows.write()

    def _fold(self, changes: Sequence[tuple[EventHandler, str, Any]], rows: RowBuffer) -> None:
        for table in self.tables:
            rows.read(table, (key for handler, key, _ in changes if handler.table is table))
        for handler, key, event in changes:
            rows.put(handler.table, key, handler.fold(rows.get(handler.table, key), event))


class RowBuffer:
    """Rows of a transaction: each is read at most once, and written at the end.

    One query for hundreds of rows takes a database server no longer than one for a single row.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._found: dict[str, dict[str, Record | None]] = {}
        self._changed: dict[str, tuple[Table, dict[str, Record | None]]] = {}

    def read(self, table: Table, keys: Iterable[str]) -> None:
        """Read rows that will be needed, except those that were read already."""
        found = self._found.setdefault(table.name, {})
        unknown = [key for key in dict.fromkeys(keys) if key not in found]
        if unknown:
            found.update(dict.fromkeys(unknown))
            found.update(self._transaction.get_all(table, unknown))

    def get(self, table: Table, key: str) -> Record | None:
        """Return a row with its changes."""
        found = self._found.setdefault(table.name, {})
        if key not in found:
            found[key] = self._transaction.get(table, key)
        return found[key]

    def put(self, table: Table, key: str, record: Record | None) -> None:
        """Change a row; None removes it."""
        self._found.setdefault(table.name, {})[key] = record
        self._changed.setdefault(table.name, (table, {}))[1][key] = record

    def write(self) -> None:
        """Write the changed rows, table by table."""
        for table, rows in self._changed.values():
            self._transaction.put_all(table, rows.items())


def batched(events: Iterable[LoggedEvent]) -> Iterator[list[LoggedEvent]]:
    """Yield events in lists of at most EVENTS_AT_ONCE."""
    source = iter(events)
    while batch := list(islice(source, EVENTS_AT_ONCE)):
        yield batch


class _EventCounter:
    """Counts events while they are passed to a fold, and keeps the last one."""

    def __init__(self, events: Iterable[LoggedEvent]) -> None:
        self._events = events
        self.last: LoggedEvent | None = None
        self.count = 0

    def __iter__(self) -> Iterator[LoggedEvent]:
        for logged in self._events:
            self.last = logged
            self.count += 1
            yield logged


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
    """Return whether queries written for one definition can read rows made by another one.

    They can while the folds are the same and every table that both definitions name is the
    same: a table that was added later does not matter to queries on the others.
    """
    if stored == wanted:
        return True
    try:
        one, other = orjson.loads(stored), orjson.loads(wanted)
        return bool(one["version"] == other["version"]) and all(
            [table[each] for each in _DECIDES_RESULTS]
            == [other["tables"][name][each] for each in _DECIDES_RESULTS]
            for name, table in one["tables"].items()
            if name in other["tables"]
        )
    except (ValueError, KeyError, TypeError):
        # INVALIDATED, or of a version that wrote definitions in another form.
        return False
