"""Ports of a stored view: tables of records and one position, changed in one transaction.

A view has two sides. Readers see the live side. A rebuild fills the shadow side and then
swaps it in, in one transaction. Nothing is written to a live side that another version of the
code made: it is read where that is possible, until a rebuild replaces it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

from domain.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from projections.core.projection import Projection


Record = dict[str, Any]
ViewSide = Literal["live", "shadow"]

INVALIDATED: Final = ""
"""The definition of a side whose rows show other events than the log has. No code has it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of records by key.

    `columns` are kept beside the record so that a query can find it: name to SQL type.
    `columns_of` reads their values from a record. `indexes` lists the columns of each index.

    `counted` lists the columns of each count that the view maintains: the number of rows for
    each of their values, so that no query counts rows. `searched` names a column in which an
    index finds any part of three characters or more.

    `kind` is what the audit log calls the subject of a row, unless the record says its own
    `kind`. `audited` maps the documented key of each field that the audit log shows to the field.
    """

    name: str
    columns: Mapping[str, str]
    columns_of: Callable[[Record], tuple[str | int | None, ...]]
    indexes: tuple[tuple[str, ...], ...] = ()
    counted: tuple[tuple[str, ...], ...] = ()
    searched: str | None = None
    kind: str | None = None
    audited: Mapping[str, str] = field(default_factory=dict)


class SideState(NamedTuple):
    """What a view stores about one of its sides.

    `position` and `last_event_id` are those of the last event that the rows include.
    `generation` counts the rebuilds of the view, beginning with 1. `definition` says which
    tables and folds made the rows (`Projection.definition`).
    """

    position: int
    generation: int
    definition: str
    last_event_id: str


EMPTY_SIDE: Final = SideState(0, 0, "", "")
"""The state of a side that does not exist."""


class ViewUnavailableError(DomainError):
    """A view cannot be read or written for now; the text says why, and what to do."""


def not_built(name: str) -> ViewUnavailableError:
    """Return the error for a view that this version of the code has not built yet."""
    return ViewUnavailableError(
        f"this version of Postwatch has not made the view {name} yet; "
        "`postwatch projections run` (a part of `postwatch up`) makes it, then try again"
    )


class Transaction(ABC):
    """Exclusive access to one side of a view: all of its writes are stored, or none."""

    @abstractmethod
    def tracked_position(self) -> tuple[int, str]:
        """Return position and identity of the last event that the rows include."""

    def position(self) -> int:
        """Return the position of the last event that the rows include."""
        return self.tracked_position()[0]

    @abstractmethod
    def set_position(self, position: int, last_event_id: str = "") -> None:
        """Record the last event that the rows include: its position and its identity."""

    @abstractmethod
    def get(self, table: Table, key: str) -> Record | None:
        """Return a record."""

    def get_all(self, table: Table, keys: Iterable[str]) -> dict[str, Record]:
        """Return the records that exist under some keys."""
        return _existing({key: self.get(table, key) for key in keys})

    @abstractmethod
    def put(self, table: Table, key: str, record: Record | None) -> None:
        """Write a record; None removes it."""

    def put_all(self, table: Table, rows: Iterable[tuple[str, Record | None]]) -> None:
        """Write many records under different keys."""
        for key, record in rows:
            self.put(table, key, record)


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row with the stored bytes of its record."""

    key: str
    columns: tuple[str | int | None, ...]
    record: bytes


class ViewSnapshot(ABC):
    """The live side of a view at one moment, for comparing it with another view."""

    DERIVED: ClassVar[frozenset[str]]
    """The derived tables that the engine stores beside a table: `counts`, and `parts` of the
    searched text where the engine has no index of its own for a search."""

    @abstractmethod
    def tracked_position(self) -> tuple[int, str]:
        """Return its position and the identity of the event there."""

    def position(self) -> int:
        """Return its position."""
        return self.tracked_position()[0]

    @abstractmethod
    def rows(self, table: Table) -> Iterator[StoredRow]:
        """Yield every row in the order of keys."""

    @abstractmethod
    def derived_rows(self, table: Table) -> Iterator[tuple[str, str, int]]:
        """Yield the rows of the derived tables beside a table: which one, the key, a number."""


class View(ABC):
    """A stored view with a live and, during a rebuild, a shadow side."""

    def __init__(self, projection: Projection) -> None:
        self.name = projection.name
        self.tables = projection.tables
        self.definition = projection.definition

    @abstractmethod
    def side_state(self, side: ViewSide = "live") -> SideState:
        """Return the stored state of a side, by one query; EMPTY_SIDE when there is none."""

    def position(self, side: ViewSide = "live") -> int:
        """Return the position of a side."""
        return self.side_state(side).position

    def tracked_position(self, side: ViewSide = "live") -> tuple[int, str]:
        """Return the position of a side and the identity of the event there."""
        state = self.side_state(side)
        return state.position, state.last_event_id

    def is_current(self, side: ViewSide = "live") -> bool:
        """Return whether a side exists and was made by the definition of this code."""
        return self.side_state(side).definition == self.definition

    def current_position(self) -> int | None:
        """Return the position of the live side; None when that is not current."""
        live = self.side_state()
        return live.position if live.definition == self.definition else None

    def generation(self) -> int:
        """Return the number of the live side's rebuild, counting from 1."""
        return self.side_state().generation

    @abstractmethod
    def create(self, fill: Callable[[Transaction], object] = lambda _: None) -> None:
        """Replace the live side in one transaction by the rows that `fill` writes.

        Does nothing when the live side is current.
        """

    @abstractmethod
    def invalidate(self, position: int) -> None:
        """Give the live side the definition INVALIDATED, unless it has left `position`."""

    @abstractmethod
    def count(self) -> dict[str, int]:
        """Return the number of rows in each table."""

    @abstractmethod
    def get(self, table: Table, key: str, side: ViewSide = "live") -> Record | None:
        """Return a record."""

    def get_all(
        self, table: Table, keys: Iterable[str], side: ViewSide = "live"
    ) -> dict[str, Record]:
        """Return the records that exist under some keys."""
        return _existing({key: self.get(table, key, side) for key in keys})

    @abstractmethod
    def rows(self, table: Table, side: ViewSide = "live") -> Iterator[tuple[str, Record]]:
        """Yield every row in the order of keys."""

    @abstractmethod
    def transaction(self, side: ViewSide = "live") -> AbstractContextManager[Transaction]:
        """Lock one side for writing. Raises ViewUnavailableError when it is not current."""

    @abstractmethod
    def start_shadow(self) -> None:
        """Make an empty shadow side in the place of one that a broken rebuild left behind."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[ViewSnapshot]:
        """Return the live side as it is now; writes and swaps during the block do not change it.

        Raises ViewUnavailableError when the live side is not current.
        """

    @abstractmethod
    def swap(self, finish: Callable[[Transaction], None]) -> None:
        """Replace the live side by the shadow side, in one transaction.

        Calls `finish` inside it, to bring the shadow to the head of the log. Removes the rows
        of the replaced side, also those that another version made.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the view's connections."""


def _existing(found: dict[str, Record | None]) -> dict[str, Record]:
    return {key: record for key, record in found.items() if record is not None}
