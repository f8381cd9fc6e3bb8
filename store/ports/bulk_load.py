"""Interface of a bulk load: an empty store gets all events at their old positions, or none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

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


class SegmentSink(Protocol):
    """Takes the segments of archived checks."""

    def write(self, first: int, last: int, data: bytes) -> None:
        """Write a segment. Raises ArchiveError."""


class BulkLoad(ABC):
    """One bulk load. It is committed when the context manager that gave it ends."""

    segments: SegmentSink

    @abstractmethod
    def sink(self, log: str) -> EventSink:
        """Return the sink of a log's events. Called once for each log."""

    @abstractmethod
    def put_keys(self, master: str, keys: Iterable[tuple[str, bytes]]) -> None:
        """Add the wrapped keys by owner, and the fingerprint of their master key."""
