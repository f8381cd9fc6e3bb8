"""The port to a stored view: documents in tables, and one position, changed together.

A view has two sides. Readers see the live side; a rebuild fills the shadow side and
then, in one transaction, puts it in the place of the live one. A live side that another
version of the code made is never written to: it is read, if it can be, until a rebuild
has taken its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from domain.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager


Record = dict[str, Any]
ViewSide = Literal["live", "shadow"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of records by key.

    `columns` are kept beside the record so that a query can find it: name to SQL type.
    `columns_of` reads their values from a record. `indexes` lists columns for each index.

    `counted` lists columns for each count that is kept: how many rows there are of each of
    their values, so that nobody counts rows. `searched` names a column in which any part of
    three characters or more is found by an index.
    """

    name: str
    columns: Mapping[str, str]
    columns_of: Callable[[Record], tuple[str | int | None, ...]]
    indexes: tuple[tuple[str, ...], ...] = ()
    counted: tuple[tuple[str, ...], ...] = ()
    searched: str | None = None


class Transaction(ABC):
    """Exclusive access to one side of a view; ends with everything or nothing written."""

    @abstractmethod
    def position(self) -> int:
        """Return the position of the last event that the rows show."""

    @abstractmethod
    def set_position(self, position: int, last_event_id: str = "") -> None:
        """Record up to which event the rows show the log, and what that event is."""

    @abstractmethod
    def get(self, table: Table, key: str) -> Record | None:
        """Return a record."""

    def get_all(self, table: Table, keys: Iterable[str]) -> dict[str, Record]:
        """Return the records that there are of some keys."""
        return _there({key: self.get(table, key) for key in keys})

    @abstractmethod
    def put(self, table: Table, key: str, record: Record | None) -> None:
        """Write a record; None removes it."""

    def put_all(self, table: Table, rows: Iterable[tuple[str, Record | None]]) -> None:
        """Write many records of different keys."""
        for key, record in rows:
            self.put(table, key, record)


class ViewUnavailableError(DomainError):
    """A view cannot be read or written for now; the text says why, and what to do."""


def not_built(name: str) -> ViewUnavailableError:
    """Return the error of a view that this version of the code has not made yet."""
    return ViewUnavailableError(
        f"this version of Postwatch has not made the view {name} yet; "
        "`postwatch projections run` (a part of `postwatch up`) makes it, then try again"
    )


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row as it lies there: what queries use, and the record."""

    key: str
    columns: tuple[str | int | None, ...]
    record: bytes


class ViewSnapshot(ABC):
    """One side of a view at one moment."""

    @abstractmethod
    def position(self) -> int:
        """Return its position."""

    @abstractmethod
    def rows(self, table: Table) -> Iterator[StoredRow]:
        """Return every row in the order of keys."""

    @abstractmethod
    def derived_rows(self, table: Table) -> Iterator[tuple[str, str, int]]:
        """Return what is kept beside a table: of which sort, for what, and its number."""


class View(ABC):
    """A stored view with a live and, during a rebuild, a shadow side."""

    @abstractmethod
    def position(self, side: ViewSide = "live") -> int:
        """Return the position that readers see now."""

    @abstractmethod
    def tracked_position(self, side: ViewSide = "live") -> tuple[int, str]:
        """Return the position of a side, and the mark of the event there."""

    @abstractmethod
    def is_current(self, side: ViewSide = "live") -> bool:
        """Return whether a side is there and was made by the definition of this code."""

    def current_position(self) -> int | None:
        """Return the position that readers see now; None when the live side is not current."""
        return self.position() if self.is_current() else None

    @abstractmethod
    def create(self, fill: Callable[[Transaction], object] = lambda _: None) -> None:
        """Make the live side anew in one transaction, with the rows that `fill` writes.

        Does nothing when the live side is current.
        """

    @abstractmethod
    def invalidate(self, position: int) -> None:
        """Note that the rows show another history, unless the side has left `position`."""

    @abstractmethod
    def generation(self) -> int:
        """Return how many times the view was rebuilt, counting from 1."""

    @abstractmethod
    def count(self) -> dict[str, int]:
        """Return the number of rows in each table."""

    @abstractmethod
    def get(self, table: Table, key: str, side: ViewSide = "live") -> Record | None:
        """Return a record."""

    def get_all(
        self, table: Table, keys: Iterable[str], side: ViewSide = "live"
    ) -> dict[str, Record]:
        """Return the records that there are of some keys."""
        return _there({key: self.get(table, key, side) for key in keys})

    @abstractmethod
    def rows(self, table: Table, side: ViewSide = "live") -> Iterator[tuple[str, Record]]:
        """Return every row in the order of keys, for comparing."""

    @abstractmethod
    def transaction(self, side: ViewSide = "live") -> AbstractContextManager[Transaction]:
        """Lock one side for writing. Raises ViewUnavailableError when it is not current."""

    @abstractmethod
    def start_shadow(self) -> None:
        """Make an empty shadow side; one left over by a broken rebuild is dropped."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[ViewSnapshot]:
        """Return the live side as it is now, whatever is written or swapped meanwhile."""

    @abstractmethod
    def swap(self, finish: Callable[[Transaction], None]) -> None:
        """Put the shadow side in the place of the live one, in one transaction.

        Whatever made the live one, nothing of it is left.

        `finish` is called inside it, to bring the shadow to the head of the log.
        """

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""


def _there(found: dict[str, Record | None]) -> dict[str, Record]:
    return {key: record for key, record in found.items() if record is not None}
