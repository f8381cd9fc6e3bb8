"""What a projection is: tables, and a pure fold from a record and an event to a record.

What a stored view was made by, as a text that is kept beside its rows.

The rows that a batch of events changes: read at once, written at once.

Where a view lies on another machine, asking for one row takes as long as for hundreds.

Folding events into a side of a view, and leaving a mark of the last one beside its position.

The mark tells that event from any other one that could stand at its position, as happens
when a log was put back from a copy and has grown since.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from projections.core.table import Record, Table, Transaction
    from store.log_reader import LoggedEvent, LogReader
    from store.store import Store


INVALIDATED: Final = ""
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


EVENTS_AT_ONCE: Final = 2000
"""Events whose rows are read at once. No more of them are in memory."""


class RowBuffer:
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


def batched(events: Iterable[LoggedEvent]) -> Iterator[list[LoggedEvent]]:
    """Yield events, which may be decoded one after the other, in lists of a bounded length."""
    source = iter(events)
    while portion := list(islice(source, EVENTS_AT_ONCE)):
        yield portion


RowFold = Callable[["Record | None", Any], "Record | None"]


@dataclass(frozen=True, slots=True)
class EventHandler:
    """Which row an event changes, and how. `fold` is pure: the same event, the same row.

    `replaces` says that it never looks at the record before, so that of many events on one
    row only the last needs to be folded.
    """

    table: Table
    key_of: Callable[[Any], str]
    fold: RowFold
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Projection:
    """A view's definition. `handlers` maps an event class to the row that it changes.

    Events of other classes move the position and nothing else.
    """

    name: str
    log: str
    tables: tuple[Table, ...]
    handlers: dict[type, EventHandler]
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
        for name in {each.table.name for each in self.handlers.values() if each.replaces}:
            if not all(each.replaces for each in self.handlers.values() if each.table.name == name):
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
        rows = RowBuffer(transaction)
        newest: dict[str, tuple[Table, dict[str, Any]]] = {}
        for portion in batched(events):
            changes: list[tuple[EventHandler, str, Any]] = []
            for _, event in portion:
                document = self.handlers.get(type(event))
                if document is not None and document.replaces:
                    of_table = newest.setdefault(document.table.name, (document.table, {}))
                    of_table[1][document.key_of(event)] = event
                elif document is not None:
                    changes.append((document, document.key_of(event), event))
            self._fold(changes, rows)
        for table, events_by_key in newest.values():
            for key, event in events_by_key.items():
                rows.put(table, key, self.handlers[type(event)].fold(None, event))
        rows.write()

    def _fold(self, changes: Sequence[tuple[EventHandler, str, Any]], rows: RowBuffer) -> None:
        for table in self.tables:
            rows.read(table, (key for document, key, _ in changes if document.table is table))
        for document, key, event in changes:
            rows.put(document.table, key, document.fold(rows.get(document.table, key), event))


def apply(projection: Projection, events: Iterable[LoggedEvent], transaction: Transaction) -> int:
    """Fold events, which may be decoded one after the other; return how many there were."""
    counted = _EventCounter(events)
    projection.apply(counted, transaction)
    if counted.last is not None:
        transaction.set_position(counted.last.position, _mark(counted.last))
    return counted.count


def has_diverged(log: LogReader, position: int, last_event_id: str) -> bool:
    """Return whether another event than the marked one stands in the log at its position."""
    found = log.after(position - 1, 1) if position and last_event_id else []
    return bool(found) and found[0].position == position and _mark(found[0]) != last_event_id


class _EventCounter:
    """Events on their way to a projection. An event that is folded need not be kept."""

    def __init__(self, events: Iterable[LoggedEvent]) -> None:
        self._events = events
        self.last: LoggedEvent | None = None
        self.count = 0

    def __iter__(self) -> Iterator[LoggedEvent]:
        for logged in self._events:
            self.last = logged
            self.count += 1
            yield logged


def _mark(logged: LoggedEvent) -> str:
    event = logged.event
    return f"{event.originator_id} {event.originator_version} {event.timestamp.isoformat()}"
