"""The checks of one location in the log: each appended once, whatever happens on the way.

Runs in a thread. Knows no queue and no trio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from checker.fence import Fence, Verdict
from domain.clock import utc_now
from domain.errors import ConflictError
from domain.log_reader import LogReader
from domain.storage.failures import ANOTHER_CAME_FIRST, STORE_AWAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from checker.location import Location
    from domain.check import CheckPerformed
    from domain.checks import Checks, PerformedCheck
    from domain.clock import Clock

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

        Raises an error of STORE_AWAY when the store is away; the same batch is to be given
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
            except ANOTHER_CAME_FIRST:
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
        except STORE_AWAY:
            self._in_doubt = True
            raise

    def _look(
        self, monitor_ids: Sequence[UUID], limit: int
    ) -> Mapping[UUID, Sequence[CheckPerformed]]:
        return self._checks.look(monitor_ids, self._location.code, limit)
