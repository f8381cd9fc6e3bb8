"""The leaf of an event in the Merkle tree, and the interface of raw rows that leaves are made of.

A leaf is the five stored columns of an event as netstrings, `<length>:<bytes>,`, one after
the other: position, originator_id, originator_version, topic, state; numbers as decimal
text. The lengths make it unambiguous: no two different events have the same leaf. A change of
this form, even by one byte, would invalidate every signed head.
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
    """Positions of a log whose archive cannot be read, and why."""

    first: int
    last: int
    reason: str


class EventRows(ABC):
    """Reads the raw rows of a log by position. Archived rows may come from an archive."""

    @abstractmethod
    def after(self, position: int, limit: int, *, through: int | None = None) -> Sequence[Row]:
        """Return up to `limit` rows after `position`, in order, up to position `through`."""

    @abstractmethod
    def last_given(self) -> int:
        """Return the highest position that was ever given, also when its event is gone."""

    def readable(self, progress: Progress = lambda *_: None) -> ReadableRows:
        """Read all archived rows, and check them against what was archived."""
        del progress
        return ReadableRows(self, 0, [])


class ReadableRows(NamedTuple):
    """The rows that can be read, how many of them are archived, and the parts that cannot."""

    rows: EventRows
    archived: int
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
