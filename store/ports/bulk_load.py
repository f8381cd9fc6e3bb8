"""The port to an empty store that is filled: with everything in its old place, or with nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.event_mapper import Row


class EventSink(ABC):
    """Takes the events of one log, each with its position."""

    @abstractmethod
    def append(self, row: Row) -> None:
        """Take an event. Raises TransferError when its stream has that version already."""

    @abstractmethod
    def finish(self, last_given: int) -> None:
        """Write what is left, and the highest position that was ever given.

        Raises TransferError as `append` does.
        """


class SegmentSink(Protocol):
    """Takes segments of archived checks."""

    def write(self, first: int, last: int, data: bytes) -> None:
        """Write a segment. Raises ArchiveError."""


class BulkLoad(ABC):
    """A store that is being filled. What is in it counts when the one who fills it is done."""

    segments: SegmentSink

    @abstractmethod
    def sink(self, log: str) -> EventSink:
        """Return what takes the events of a log. Called once for each log."""

    @abstractmethod
    def put_keys(self, master: str, keys: Iterable[tuple[str, bytes]]) -> None:
        """Put in the wrapped keys by owner, and the fingerprint of their master key."""
