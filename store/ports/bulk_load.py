"""Interface of a bulk load: an empty store gets all events at their old positions, or none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.event_mapper import Row


class EventSink(ABC):
    """Takes the events of one log with their positions, in order."""

    @abstractmethod
    def append(self, row: Row) -> None:
        """Add an event. Raises TransferError when its stream has that version already."""

    @abstractmethod
    def finish(self, last_given: int) -> None:
        """Write what is left, and the highest position that was ever given.

        Raises TransferError as `append` does.
        """


class BulkLoad(ABC):
    """One bulk load. It is committed when the context manager that gave it ends."""

    @abstractmethod
    def sink(self, log: str) -> EventSink:
        """Return the sink of a log's events. Called once for each log."""

    @abstractmethod
    def put_segment(self, first: int, last: int, data: bytes) -> None:
        """Add the segment of archived checks of these positions. Raises ArchiveError."""

    @abstractmethod
    def put_keys(self, master: str, keys: Iterable[tuple[str, bytes]]) -> None:
        """Add the wrapped keys by owner, and the fingerprint of their master key."""
