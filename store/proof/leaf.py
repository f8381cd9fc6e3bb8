"""The leaf of an event: its five columns as stored, as netstrings one after the other.

`<length>:<bytes>,` for each of position, originator_id, originator_version, topic, state;
numbers as decimal text. The lengths make it unambiguous: no two different events have
the same leaf. A version of this that differs by a byte makes every signed head wrong.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from store.proof.merkle import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from domain.event_mapper import Row

    Progress = Callable[[int, int], None]


class UnreadableRange(NamedTuple):
    """A part of a log that stands elsewhere and cannot be read: its positions, and why."""

    first: int
    last: int
    reason: str


class EventRows(ABC):
    """Reads the rows of a log by position. Rows that were archived may come from elsewhere."""

    @abstractmethod
    def after(self, position: int, limit: int, *, through: int | None = None) -> Sequence[Row]:
        """Return up to `limit` rows after `position`, in order, up to position `through`."""

    @abstractmethod
    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event is gone."""

    def readable(self, progress: Progress = lambda *_: None) -> ReadableRows:
        """Look whether all that stands elsewhere can be read, and is what was put there."""
        del progress
        return ReadableRows(self, 0, [])


class ReadableRows(NamedTuple):
    """Rows without the parts that cannot be read, how many others stand elsewhere, those parts."""

    rows: EventRows
    elsewhere: int
    unreadable: list[UnreadableRange]


def leaf_bytes(row: Row) -> bytes:
    """Return the leaf of an event."""
    position = b"%d" % row.position
    return b"%d:%b,%d:%b,%d:%b,%d:%b,%d:%b," % (
        len(position),
        position,
        len(row.originator_id),
        row.originator_id,
        len(row.version),
        row.version,
        len(row.topic),
        row.topic,
        len(row.state),
        row.state,
    )


def row_hash(row: Row) -> bytes:
    """Return the leaf hash of an event."""
    return leaf_hash(leaf_bytes(row))
