"""The queries on the `history` view: the entries of the audit log, and monitors as they were."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.kinds import Kind
    from projections.core.table import Record
    from projections.readers.monitors import MonitorFilter, MonitorRecords


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries are wanted; None means any.

    `organization` and `customer` are numbers; `installation` adds what belongs to no
    organization. `begin` and `end` are times as entries show them, the end excluded.
    """

    organization: int
    installation: bool = False
    customer: int | None = None
    thing: str | None = None
    actor: str | None = None
    types: tuple[str, ...] = ()
    begin: str | None = None
    end: str | None = None


class PlacedEntry(NamedTuple):
    """An entry as JSON, and its position."""

    position: int
    body: bytes


class HistoryReader(ABC):
    """Reads the live side of the `history` view."""

    @abstractmethod
    def position(self) -> int:
        """Return the position up to which everything is shown."""

    @abstractmethod
    def position_at(self, time: str) -> int:
        """Return the position of the last entry before the first one later than a time."""

    @abstractmethod
    def time_at(self, position: int) -> str | None:
        """Return the time of the newest entry up to a position; None when there is none."""

    @abstractmethod
    def thing(self, public_id: str) -> Record | None:
        """Return owners, kind and number of a thing, and when it began and ceased to exist."""

    @abstractmethod
    def entries(
        self, which: EntryFilter, after: int, until: int, limit: int
    ) -> Sequence[PlacedEntry]:
        """Return the first entries after a position and up to another, oldest first."""

    @abstractmethod
    def entries_of(self, public_id: str, before: int, limit: int) -> Sequence[PlacedEntry]:
        """Return the last entries about a thing before a position, newest first."""

    @abstractmethod
    def owner(self, kind: str, identifier: int | str, position: int) -> Record | None:
        """Return an organization or a customer as it was, by number or public id."""

    @abstractmethod
    def monitor(self, kind: Kind, public_id: str, position: int) -> MonitorRecords | None:
        """Return a monitor of a kind as it was."""

    @abstractmethod
    def monitors(
        self, which: MonitorFilter, position: int, page: int, per_page: int
    ) -> tuple[Sequence[MonitorRecords], int]:
        """Return a page of the monitors that existed, by number, and how many there were."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections of the reader."""
