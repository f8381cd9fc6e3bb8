"""Appends checks of one location to the log, each due time of a monitor at most once.

Several checkers may believe that they hold a monitor: one was frozen or cut off, and another
one took over. Both compute the same due times (see `Due`), and both probe. The log decides
which check is recorded: each stream takes a version once, so the checker that appends second
is refused. It then reads what was recorded, and judges each of its checks anew. This works
for any order of the writers.

A checker without others beside it reads the log only after it was refused, or after the
answer of an append got lost. A checker among others also reads it before it appends to a
stream for the first time, because another checker may have recorded there.

Runs in a thread. Knows no queue and no trio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import Enum, auto
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

from domain.check import CheckPerformed
from domain.clock import iso_milliseconds, utc_now
from domain.errors import ConflictError
from store.log_reader import LogReader
from store.ports.errors import CONFLICT_ERRORS, STORE_UNAVAILABLE

if TYPE_CHECKING:
    from datetime import datetime

    from checker.runtime.location import Location
    from domain.checks import Checks, PerformedCheck
    from domain.clock import Clock


CLOCK_TOLERANCE: Final = timedelta(seconds=5)
"""By so much the clocks of two checkers may differ."""

_MORE_READ: Final = 4
"""How many recorded checks are read of a stream beyond the number of checks to record."""

ReadNewest = Callable[[Sequence[UUID], int], Mapping[UUID, Sequence[CheckPerformed]]]
"""Returns the newest recorded checks of monitors at this location, up to a limit, newest first.

The next append continues from there: the log refuses it if another checker appends first.
"""


class FenceDecision(Enum):
    """What to do with a check: append it, count it as recorded, or drop it as superseded."""

    RECORD = auto()
    RECORDED = auto()
    FENCED = auto()


class Fence:
    """Decides which checks of a batch are appended."""

    def __init__(self, read_newest: ReadNewest, clock: Clock, *, is_shared: bool) -> None:
        """Take what reads the log. `is_shared`: other checkers may check these monitors too."""
        self._read_newest = read_newest
        self._clock = clock
        self._is_shared = is_shared
        self._last_due: dict[UUID, str] = {}

    def judge(self, batch: Sequence[PerformedCheck], *, in_doubt: bool) -> list[FenceDecision]:
        """Return the decision for each check.

        `in_doubt`: the log may hold checks that this checker does not know of, so read it.
        """
        if not in_doubt and not self._is_shared:
            return [FenceDecision.RECORD] * len(batch)
        bound = iso_milliseconds(self._clock() + CLOCK_TOLERANCE)
        streams: dict[UUID, list[PerformedCheck]] = {}
        for check in batch:
            streams.setdefault(check.monitor_id, []).append(check)
        recorded = self._read(
            {
                monitor_id: len(checks)
                for monitor_id, checks in streams.items()
                if in_doubt or not self._is_known(monitor_id, checks)
            }
        )
        decisions = {
            monitor_id: iter(_judge_stream(checks, recorded.get(monitor_id, ()), bound))
            for monitor_id, checks in streams.items()
        }
        return [next(decisions[check.monitor_id]) for check in batch]

    def note(self, recorded: Sequence[PerformedCheck]) -> None:
        """Remember what was appended: checks that follow it need no read of the log."""
        if self._is_shared:
            for check in recorded:
                self._remember(check.monitor_id, check.due_at)

    def _is_known(self, monitor_id: UUID, checks: Sequence[PerformedCheck]) -> bool:
        """Return whether checks follow, in order, the last one that is known to be recorded."""
        dues = [self._last_due.get(monitor_id, ""), *(each.due_at for each in checks)]
        return bool(dues[0]) and all(earlier < later for earlier, later in pairwise(dues))

    def _read(self, counts: Mapping[UUID, int]) -> Mapping[UUID, Sequence[CheckPerformed]]:
        """Return the newest recorded checks of monitors, of each more than are to be recorded."""
        if not counts:
            return {}
        found = self._read_newest(list(counts), max(counts.values()) + _MORE_READ)
        if self._is_shared:
            for monitor_id, recorded in found.items():
                if recorded:
                    self._remember(monitor_id, max(each.due_at for each in recorded))
        return found

    def _remember(self, monitor_id: UUID, due_at: str) -> None:
        """Remember the latest due time that is recorded for a monitor."""
        self._last_due[monitor_id] = max(due_at, self._last_due.get(monitor_id, ""))


def _judge_stream(
    checks: Sequence[PerformedCheck], recorded: Sequence[CheckPerformed], bound: str
) -> list[FenceDecision]:
    dues = [each.due_at for each in checks]
    return [
        FenceDecision.FENCED if check.due_at in dues[:number] else _decide(check, recorded, bound)
        for number, check in enumerate(checks)
    ]


def _decide(check: PerformedCheck, recorded: Sequence[CheckPerformed], bound: str) -> FenceDecision:
    """Judge a check by the newest recorded ones of its stream.

    A due time is recorded once. A check that was due before a recorded one comes too late: it
    would be in the wrong order in the log, unless it is the first check of a newer version. A
    recorded due time beyond `bound` does not count: the clock was set back since.
    """
    is_late = False
    for each in recorded:
        if each.due_at == check.due_at:
            is_same = each.started_at == check.started_at
            return FenceDecision.RECORDED if is_same else FenceDecision.FENCED
        is_late = is_late or (
            check.due_at < each.due_at <= bound and check.monitor_version <= each.monitor_version
        )
    return FenceDecision.FENCED if is_late else FenceDecision.RECORD


ATTEMPTS: Final = 20
"""How often an append is tried when other processes write to the same streams."""

_PAGE: Final = 200
_PAGES: Final = 50


class AppendResult(NamedTuple):
    """How many checks of a batch are in the log, and how many the fence left out."""

    recorded: int
    fenced: int


class CheckLog:
    """Appends batches of checks, and reads the last ones."""

    def __init__(
        self,
        checks: Checks,
        location: Location,
        *,
        clock: Clock = utc_now,
        is_shared: bool = False,
    ) -> None:
        """Take the log. `is_shared`: other checkers of the location may record there too."""
        self._checks = checks
        self._location = location
        self._fence = Fence(self._read_newest, clock, is_shared=is_shared)
        self._in_doubt = False

    def append(self, batch: Sequence[PerformedCheck]) -> AppendResult:
        """Append the checks of a batch that no checker has recorded yet, all of them or none.

        When another process has appended first, reads what it recorded, leaves those checks
        out, and appends the rest.

        Raises an error of STORE_UNAVAILABLE when the store is unavailable. The caller then passes
        the same batch again: checks that were stored although the answer got lost count as
        recorded. Raises ConflictError when other processes keep appending first.
        """
        recorded = fenced = 0
        for _ in range(ATTEMPTS):
            decisions = self._fence.judge(batch, in_doubt=self._in_doubt)
            recorded += decisions.count(FenceDecision.RECORDED)
            fenced += decisions.count(FenceDecision.FENCED)
            if recorded or fenced:
                batch = [
                    check
                    for check, decision in zip(batch, decisions, strict=True)
                    if decision is FenceDecision.RECORD
                ]
            # Doubt lasts until an append succeeds: the read that follows may fail, and the
            # batch that is passed again must not be appended without it.
            try:
                if batch:
                    code, actor = self._location.code, self._location.actor
                    self._checks.record(batch, location=code, actor=actor)
            except CONFLICT_ERRORS:
                self._in_doubt = True
                continue
            except STORE_UNAVAILABLE:
                self._in_doubt = True
                raise
            self._in_doubt = False
            self._fence.note(batch)
            return AppendResult(recorded + len(batch), fenced)
        # Outside of the handler: the text of the conflict holds stored data.
        raise ConflictError(
            f"checks of location {self._location.code} cannot be recorded: other processes keep "
            "recording checks of the same monitors first; find them with `postwatch fleet`, and "
            "end those that are none of its checkers"
        )

    def last_check_at(self) -> datetime | None:
        """Return when this location last finished a check, None when that is long ago.

        Reads the newest part of the log only: checks of other locations may be between.
        """
        reader = LogReader(self._checks)
        head = reader.head()
        for start in range(head - _PAGE, max(head - _PAGE * _PAGES, 0) - _PAGE, -_PAGE):
            for logged in reversed(reader.after(max(start, 0), _PAGE)):
                event = logged.event
                if isinstance(event, CheckPerformed) and event.location == self._location.code:
                    return event.timestamp
        return None

    def last_of(self, monitor_ids: Sequence[UUID]) -> dict[UUID, CheckPerformed]:
        """Return the last check of each monitor that was ever checked at this location."""
        return self._checks.last_of(monitor_ids, self._location.code)

    def _read_newest(
        self, monitor_ids: Sequence[UUID], limit: int
    ) -> Mapping[UUID, Sequence[CheckPerformed]]:
        return self._checks.look(monitor_ids, self._location.code, limit)
