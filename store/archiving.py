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


ARCHIVE_LOCK: Final = "archive"
"""The name of the lock under which one process archives."""

LONGEST_WAIT: Final = timedelta(days=1)
"""How long checks that are old enough wait for others, to fill a segment with them."""

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
        """Archive all checks older than some time, up to a position that all views have reached.

        Raises ChangedLogError when a check does not fit the tree, ArchiveError when a segment
        cannot be written or read back; what was archived before stays archived.
        """
        now = self._clock()
        last = self._prepare(through)
        # What an earlier run left: because it was broken off, or as the newest of a stream.
        self.prune()
        while rows := list(self._next(now - older_than, now, last)):
            self._archive(rows)
            self._delete_archived(rows[0].position - 1)
        return self._moved

    def step(self, older_than: timedelta, through: int) -> ArchivingResult:
        """Archive the next segment if it is full, or has waited for a day to become full.

        So there are no thousands of small segments, and one step takes a bounded time. The
        checks stay in the log as well, until `prune`. Raises as `run` does.
        """
        now = self._clock()
        last = self._prepare(through)
        rows = list(self._next(now - older_than, now, last))
        if len(rows) == self._most_events or (rows and self._is_last(rows, now - older_than)):
            self._archive(rows)
        return self._moved

    def prune(self) -> None:
        """Delete from the log the checks that are in a segment."""
        self._delete_archived(0)

    def is_due(self, older_than: timedelta) -> bool:
        """Return whether `step` would archive something once all views have read it.

        Costs no more than reading two rows.
        """
        now, through = self._clock(), self._store.archive.through()
        newest = self._live.after(through + self._most_events - 1, 1)
        if newest and _ended_at(newest[0]) <= now - older_than:
            return True
        oldest = self._live.after(through, 1)
        return bool(oldest) and _ended_at(oldest[0]) <= now - older_than - LONGEST_WAIT

    def _prepare(self, through: int) -> int:
        """Return the position up to which checks may be archived."""
        self._proof.grow()
        self._store.archive.files.remove_unfinished()
        return min(through, self._proof.position())

    def _is_last(self, rows: Sequence[Row], cutoff: datetime) -> bool:
        """Return whether rows have waited for a day, and those behind them are too young."""
        behind = self._live.after(rows[-1].position, 1)
        return _ended_at(rows[0]) <= cutoff - LONGEST_WAIT and not (
            behind and _ended_at(behind[0]) <= cutoff
        )

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


def archive_lag(store: Store, archive_after: timedelta, now: datetime) -> timedelta:
    """Return for how long the oldest check that is not archived has been older than some time.

    A day is normal (`LONGEST_WAIT`). Raises ArchiveError when that check is damaged.
    """
    oldest = store.engine.rows(LOG).after(store.archive.through(), 1)
    lag = now - archive_after - _ended_at(oldest[0]) if oldest else timedelta(0)
    return max(lag, timedelta(0))


def _ended_at(row: Row) -> datetime:
    try:
        state: dict[str, Any] = orjson.loads(row.state)
        return datetime.fromisoformat(state["timestamp"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(
            f"the {LOG} log is damaged at position {row.position}: its row is no "
            f"check; see `postwatch log verify {LOG}`"
        ) from error
