"""Events that this process has just recorded: a view that follows at once need not read them."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final

from domain.log_reader import LoggedEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from eventsourcing.persistence import Recording

_MOST: Final = 1000
"""Events kept. Commands record one to three, and most are asked for within milliseconds."""

KEPT_SECONDS: Final = 1.0
"""How long an event is given from here. A server that is promoted may lack an older one."""


class JustRecorded:
    """The newest events of this process by their positions in one log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._events: dict[int, tuple[float, LoggedEvent]] = {}
        self._lock = Lock()

    def note(self, recordings: list[Recording[UUID]]) -> None:
        """Keep what was recorded; an observer of a log, told when it is on disk."""
        now = self._clock()
        with self._lock:
            for recording in recordings:
                position = recording.notification.id
                self._events[position] = now, LoggedEvent(position, recording.domain_event)
            while len(self._events) > _MOST:
                del self._events[next(iter(self._events))]

    def after(self, position: int) -> list[LoggedEvent]:
        """Return the events that follow a position with nothing between; often none."""
        found: list[LoggedEvent] = []
        since = self._clock() - KEPT_SECONDS
        while (following := self._events.get(position + 1)) is not None and following[0] >= since:
            found.append(following[1])
            position += 1
        return found
