"""The checks of one location in the log: appended once, whatever happens on the way.

Runs in a thread. Knows no queue and no trio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from domain.check import CheckPerformed, check_log_id
from domain.errors import ConflictError
from domain.log_reader import LogReader
from domain.storage.failures import ANOTHER_CAME_FIRST, STORE_AWAY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from checker.location import Location
    from domain.checks import Checks, PerformedCheck

ATTEMPTS: Final = 20
"""How often a batch is tried again after another process wrote to the same streams."""

_PAGE: Final = 200
_PAGES: Final = 50


class CheckLog:
    """Appends batches of checks."""

    def __init__(self, checks: Checks, location: Location) -> None:
        self._checks = checks
        self._location = location
        self._in_doubt = False

    def append(self, batch: Sequence[PerformedCheck]) -> None:
        """Append a batch, all or none, and exactly once.

        Raises an error of STORE_AWAY when the store is away; the same batch is to be given
        again then. Raises ConflictError when another process keeps coming first.
        """
        # The store may have gone away after it had committed: the answer got lost.
        if self._in_doubt and self._holds(batch[-1]):
            self._in_doubt = False
            return
        for _ in range(ATTEMPTS):
            try:
                self._record(batch)
            except ANOTHER_CAME_FIRST:
                continue
            self._in_doubt = False
            return
        # Outside of the handler: the text of the conflict holds stored data.
        raise ConflictError(
            f"checks of location {self._location.code} cannot be recorded: another process "
            "keeps recording checks of the same monitors; run one checker for each location"
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
        newest = ((each, self._checks.newest(each, self._location.code, 1)) for each in monitor_ids)
        return {monitor_id: checks[0] for monitor_id, checks in newest if checks}

    def _record(self, batch: Sequence[PerformedCheck]) -> None:
        try:
            self._checks.record(batch, location=self._location.code, actor=self._location.actor)
        except STORE_AWAY:
            self._in_doubt = True
            raise

    def _holds(self, check: PerformedCheck) -> bool:
        """Return whether this check is the last one in its stream."""
        stream = check_log_id(check.monitor_id, self._location.code)
        for event in self._checks.events.get(stream, desc=True, limit=1):
            if isinstance(event, CheckPerformed):
                return (event.due_at, event.started_at) == (check.due_at, check.started_at)
        return False
