"""The checks of one location in the log: each appended once, whatever happens on the way.

Runs in a thread. Knows no queue and no trio.

The fence: keeps out of the log what another checker has recorded already.

Several checkers may believe that they hold a monitor: one was frozen, or cut off, and
another one took over. Both know the same due times (see `Due`), and both probe. What they
may not do is record two checks of one due time. The log decides: a stream takes each
version once, so whoever appends after somebody else did is refused, looks at what was
recorded, and judges each of its checks anew. This holds for any order of the writers.

A checker that is alone on its monitors looks only when it was refused, or when an answer
got lost. Among several it looks also before it appends to a stream for the first time,
because what stands there may be somebody else's.

Pure but for what reads the log. Runs in the thread of the recorder.
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


TOLERATED: Final = timedelta(seconds=5)
"""So far the clocks of two checkers may differ."""

_BEFORE: Final = 4
"""How many recorded checks are looked at beside as many as are to be recorded."""

ReadNewest = Callable[[Sequence[UUID], int], Mapping[UUID, Sequence[CheckPerformed]]]
"""Returns up to so many of the newest recorded checks of monitors from here, newest first.

What is appended from now on goes on from there: it is refused if anybody else comes first.
"""


class Verdict(Enum):
    """What is to be done with a check."""

    RECORD = auto()
    RECORDED = auto()
    FENCED = auto()


class Fence:
    """Judges checks that are to be recorded."""

    def __init__(self, look: ReadNewest, clock: Clock, *, is_shared: bool) -> None:
        """Take what reads the log. `is_shared`: other checkers may come to these monitors."""
        self._look = look
        self._clock = clock
        self._is_shared = is_shared
        self._last_due: dict[UUID, str] = {}

    def judge(self, batch: Sequence[PerformedCheck], *, look: bool) -> list[Verdict]:
        """Return what is to be done with each check; `look` says that the log may know better."""
        if not look and not self._is_shared:
            return [Verdict.RECORD] * len(batch)
        bound = iso_milliseconds(self._clock() + TOLERATED)
        streams: dict[UUID, list[PerformedCheck]] = {}
        for check in batch:
            streams.setdefault(check.monitor_id, []).append(check)
        recorded = self._read(
            {
                monitor_id: len(checks)
                for monitor_id, checks in streams.items()
                if look or not self._is_known(monitor_id, checks)
            }
        )
        verdicts = {
            monitor_id: iter(_judge_stream(checks, recorded.get(monitor_id, ()), bound))
            for monitor_id, checks in streams.items()
        }
        return [next(verdicts[check.monitor_id]) for check in batch]

    def note(self, recorded: Sequence[PerformedCheck]) -> None:
        """Remember what was appended: the log need not be looked at for what comes after it."""
        if self._is_shared:
            for check in recorded:
                self._remember(check.monitor_id, check.due_at)

    def _is_known(self, monitor_id: UUID, checks: Sequence[PerformedCheck]) -> bool:
        """Return whether checks come in their order behind what we know to be recorded."""
        dues = [self._last_due.get(monitor_id, ""), *(each.due_at for each in checks)]
        return bool(dues[0]) and all(earlier < later for earlier, later in pairwise(dues))

    def _read(self, counts: Mapping[UUID, int]) -> Mapping[UUID, Sequence[CheckPerformed]]:
        """Return what is recorded of monitors, of each more than is to be recorded, at once."""
        if not counts:
            return {}
        found = self._look(list(counts), max(counts.values()) + _BEFORE)
        if self._is_shared:
            for monitor_id, recorded in found.items():
                if recorded:
                    self._remember(monitor_id, max(each.due_at for each in recorded))
        return found

    def _remember(self, monitor_id: UUID, due_at: str) -> None:
        """Keep the latest due time that stands before whatever we append next."""
        self._last_due[monitor_id] = max(due_at, self._last_due.get(monitor_id, ""))


def _judge_stream(
    checks: Sequence[PerformedCheck], recorded: Sequence[CheckPerformed], bound: str
) -> list[Verdict]:
    dues = [each.due_at for each in checks]
    return [
        Verdict.FENCED if check.due_at in dues[:number] else _verdict(check, recorded, bound)
        for number, check in enumerate(checks)
    ]


def _verdict(check: PerformedCheck, recorded: Sequence[CheckPerformed], bound: str) -> Verdict:
    """Judge a check by the newest recorded ones of its stream.

    A due time is recorded once. What was due before another recorded one comes too late,
    and would stand in the log in the wrong order, unless it is the first check of a newer
    version. A due time beyond `bound` says nothing of the order: the clock that it was
    counted on has been set back since.
    """
    is_late = False
    for each in recorded:
        if each.due_at == check.due_at:
            is_same = each.started_at == check.started_at
            return Verdict.RECORDED if is_same else Verdict.FENCED
        is_late = is_late or (
            check.due_at < each.due_at <= bound and check.monitor_version <= each.monitor_version
        )
    return Verdict.FENCED if is_late else Verdict.RECORD


ATTEMPTS: Final = 20
"""How often a batch is tried again after another process wrote to the same streams."""

_PAGE: Final = 200
_PAGES: Final = 50


class Appended(NamedTuple):
    """What came of a batch: how many checks are in the log, how many another checker made."""

    recorded: int
    fenced: int


class CheckLog:
    """Appends batches of checks."""

    def __init__(
        self,
        checks: Checks,
        location: Location,
        *,
        wall: Clock = utc_now,
        is_shared: bool = False,
    ) -> None:
        """Take the log. `is_shared`: other checkers of the location may record there too."""
        self._checks = checks
        self._location = location
        self._fence = Fence(self._look, wall, is_shared=is_shared)
        self._in_doubt = False

    def append(self, batch: Sequence[PerformedCheck]) -> Appended:
        """Append the checks of a batch that nobody has recorded yet, all of them or none.

        No due time of a monitor is recorded twice, in whatever order several writers come:
        who comes second is refused, because the stream has grown, looks at what was recorded
        and leaves out what it says already. The rest of the batch is appended.

        Raises an error of STORE_UNAVAILABLE when the store is away; the same batch is to be given
        again then: what of it was stored, though the answer got lost, is found and counts as
        recorded. Raises ConflictError when another process keeps coming first.
        """
        recorded = fenced = 0
        for _ in range(ATTEMPTS):
            verdicts = self._fence.judge(batch, look=self._in_doubt)
            recorded += verdicts.count(Verdict.RECORDED)
            fenced += verdicts.count(Verdict.FENCED)
            batch = [
                check
                for check, verdict in zip(batch, verdicts, strict=True)
                if verdict is Verdict.RECORD
            ]
            try:
                self._record(batch)
            except CONFLICT_ERRORS:
                # Kept until a batch is appended: the look that follows may fail, and the batch
                # that is given again must not be appended without it.
                self._in_doubt = True
                continue
            self._in_doubt = False
            self._fence.note(batch)
            return Appended(recorded + len(batch), fenced)
        # Outside of the handler: the text of the conflict holds stored data.
        raise ConflictError(
            f"checks of location {self._location.code} cannot be recorded: other processes keep "
            "recording checks of the same monitors first; find them with `postwatch fleet`, and "
            "end those that are none of its checkers"
        )

    def last_check_at(self) -> datetime | None:
        """Return when this location last finished a check; None when not for a long time.

        Looks at the newest part of the log only: other locations may share it.
        """
        reader = LogReader(self._checks)
        head = reader.head()
        for start in range(head - _PAGE, max(head - _PAGE * _PAGES, 0) - _PAGE, -_PAGE):
            for logged in reversed(reader.after(max(start, 0), _PAGE)):
                if logged.event.location == self._location.code:
                    finished: datetime = logged.event.timestamp
                    return finished
        return None

    def last_of(self, monitor_ids: Sequence[UUID]) -> dict[UUID, CheckPerformed]:
        """Return the last check of each of these monitors that was ever checked from here."""
        return self._checks.last_of(monitor_ids, self._location.code)

    def _record(self, batch: Sequence[PerformedCheck]) -> None:
        if not batch:
            return
        try:
            self._checks.record(batch, location=self._location.code, actor=self._location.actor)
        except STORE_UNAVAILABLE:
            self._in_doubt = True
            raise

    def _look(
        self, monitor_ids: Sequence[UUID], limit: int
    ) -> Mapping[UUID, Sequence[CheckPerformed]]:
        return self._checks.look(monitor_ids, self._location.code, limit)
