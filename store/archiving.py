"""Moves old checks from their log into segments, while everything runs.

For each segment: write it, sync it, read it back, record it in the `monitoring` log, and
only then delete its checks from the `checks` log. A run that is broken off anywhere loses
nothing: a segment that is not recorded is ignored, and checks that are recorded and not yet
deleted are deleted by the next run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from domain.check import ARCHIVE_ID, ChecksArchived
from domain.clock import Clock, utc_now
from domain.errors import ArchiveError, ChangedLogError
from store.archive.check_archive import LOG
from store.archive.segment import MOST_EVENTS, contents_of, encode
from store.proof.tiles import first_disagreement
from store.proving import log_proof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from domain.actor import Actor
    from domain.event_mapper import Row
    from store.archive.segment import SegmentContents
    from store.store import Store


_PAGE: Final = 2000


@dataclass(slots=True)
class ArchivingResult:
    """What a run did: its segments, their size in bytes, and how many rows it deleted."""

    segments: list[SegmentContents] = field(default_factory=list)
    size: int = 0
    pruned: int = 0

    @property
    def events(self) -> int:
        """How many checks were archived."""
        return sum(each.events for each in self.segments)


class Archiver:
    """One run of archiving. The caller makes sure that only one runs at a time."""

    def __init__(
        self,
        store: Store,
        actor: Actor,
        *,
        clock: Clock = utc_now,
        most_events: int = MOST_EVENTS,
        report: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        """Take `report`, which gets the position reached, and that of the newest check."""
        self._store = store
        self._actor = actor
        self._clock = clock
        self._most_events = most_events
        self._report = report
        self._live = store.engine.rows(LOG)
        self._proof = log_proof(store, LOG, clock)
        self._moved = ArchivingResult()

    def run(self, older_than: timedelta, through: int) -> ArchivingResult:
        """Archive checks older than some time, up to a position that all views have reached.

        Raises ChangedLogError when a check does not fit the tree, ArchiveError when a segment
        cannot be written or read back; what was archived before stays archived.
        """
        now = self._clock()
        self._proof.grow()
        last = min(through, self._proof.position())
        self._store.archive.files.remove_unfinished()
        # What an earlier run left: because it was broken off, or as the newest of a stream.
        self._delete_archived(0)
        while rows := list(self._next(now - older_than, now, last)):
            self._archive(rows)
            self._delete_archived(rows[0].position - 1)
        return self._moved

    def _next(self, cutoff: datetime, now: datetime, through: int) -> Iterator[Row]:
        """Yield the rows of the next segment: up to the first one that is too young.

        A check from the future was recorded under a wrong clock: it does not end the segment.
        """
        position = self._store.archive.through()
        left = self._most_events
        while left and (page := self._live.after(position, min(_PAGE, left), through=through)):
            for row in page:
                if cutoff < _ended_at(row) <= now:
                    return
                yield row
            left -= len(page)
            position = page[-1].position

    def _archive(self, rows: Sequence[Row]) -> None:
        contents = contents_of(rows)
        with self._proof.tiles.reading() as reader:
            wrong = first_disagreement(rows, reader)
        if wrong is not None:
            raise ChangedLogError(
                f"the {LOG} log was changed at position {wrong}: it is not archived from "
                f"position {contents.first} on; see `postwatch log verify {LOG}`"
            )
        data = encode(LOG, rows)
        archive = self._store.archive
        archive.files.write(contents.first, contents.last, data)
        archive.read_back(contents)
        self._record(contents)
        self._moved.segments.append(contents)
        self._moved.size += len(data)
        self._report(contents.last, self._live.last_given())

    def _record(self, contents: SegmentContents) -> None:
        monitoring = self._store.monitoring
        event = ChecksArchived(
            originator_id=ARCHIVE_ID,
            originator_version=len(self._store.archive.segments()) + 1,
            timestamp=self._clock(),
            first_position=contents.first,
            last_position=contents.last,
            count=contents.events,
            digest=contents.digest,
            actor=self._actor,
        )
        monitoring.save(event)

    def _delete_archived(self, position: int) -> None:
        """Delete the archived checks after a position from the log, and their leaf hashes."""
        through = self._store.archive.through()
        self._proof.tiles.forget_leaves(through)
        self._moved.pruned += self._store.engine.prune(position, through)


def _ended_at(row: Row) -> datetime:
    try:
        state: dict[str, Any] = orjson.loads(row.state)
        return datetime.fromisoformat(state["timestamp"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(
            f"the {LOG} log is damaged at position {row.position}: its row is no "
            f"check; see `postwatch log verify {LOG}`"
        ) from error
