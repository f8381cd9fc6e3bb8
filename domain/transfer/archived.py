"""The archived checks of an import: they become segments again, as they were archived."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import orjson

from domain.archive.archived import ChecksArchived
from domain.archive.check_archive import LOG
from domain.archive.segment import MOST_EVENTS, Contents, contents_of, encode
from domain.errors import TransferError

if TYPE_CHECKING:
    from domain.proof.leaf import Row
    from domain.storage.filling import EventSink, SegmentSink

_TOPIC: Final = ChecksArchived.TOPIC.encode()


class CheckSink:
    """Takes checks in order, when it was told of all segments.

    The newest check of each stream also goes to the log, where the next one is looked for.
    """

    def __init__(self, log: EventSink, segments: SegmentSink) -> None:
        self._log = log
        self._segments = segments
        self._expected: deque[Contents] = deque()
        self._rows: list[Row] = []
        self._newest: dict[bytes, Row] = {}

    def note(self, row: Row) -> None:
        """Take an event of the monitoring log. Raises TransferError on a damaged one."""
        if row.topic != _TOPIC:
            return
        try:
            state = orjson.loads(row.state)
            first, last = int(state["first_position"]), int(state["last_position"])
            found = Contents(first, last, int(state["count"]), str(state["digest"]))
        except (ValueError, KeyError, TypeError):
            raise TransferError("an event about archived checks is damaged") from None
        behind = self._expected[-1].last if self._expected else 0
        if not behind < first <= last or found.events > MOST_EVENTS:
            raise TransferError("the events about archived checks are out of order")
        self._expected.append(found)

    def append(self, row: Row) -> None:
        """Take a check. Raises TransferError when those before it were archived otherwise."""
        while self._expected and row.position > self._expected[0].last:
            self._write()
        if self._expected and row.position >= self._expected[0].first:
            if len(self._rows) >= self._expected[0].events:
                raise TransferError(_not_as_archived(self._expected[0]))
            self._rows.append(row)
            self._newest[row.originator_id] = row
        else:
            self._newest.pop(row.originator_id, None)
            self._log.append(row)

    def finish(self, last_given: int) -> None:
        """Write what is left, and the highest position that was ever given."""
        while self._expected:
            self._write()
        for row in self._newest.values():
            self._log.append(row)
        self._log.finish(last_given)

    def _write(self) -> None:
        contents = self._expected.popleft()
        if not self._rows or contents_of(self._rows) != contents:
            raise TransferError(_not_as_archived(contents))
        self._segments.write(contents.first, contents.last, encode(LOG, self._rows))
        self._rows = []


def _not_as_archived(contents: Contents) -> str:
    return (
        f"the checks of the positions {contents.first} to {contents.last} are not those that "
        "were archived"
    )
