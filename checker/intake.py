"""The intake: what the feed brings goes into the configuration and from there to the schedule.

Up to the head of the log changes are only folded, so that nothing is checked that was
changed or deleted long ago. From then on each change takes effect at once.

The location itself may be retired there, by somebody who saw no checker: this one was just
starting, or cut off from the database. Then it ends.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import trio

from domain.errors import RetiredError

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from checker.configuration import Configuration
    from checker.contact import Find
    from checker.feed import Batch
    from checker.schedule import Schedule
    from checker.status import Status


class Intake:
    """Keeps configuration and schedule in step with the log."""

    def __init__(
        self,
        configuration: Configuration,
        schedule: Schedule,
        status: Status,
        find: Find,
        on_change: Callable[[UUID], None],
    ) -> None:
        """Take the parts; `find` says which monitors are to be checked by this checker."""
        self._configuration = configuration
        self._find = find
        self._schedule = schedule
        self._status = status
        self._on_change = on_change

    async def read_up(self, receive: trio.MemoryReceiveChannel[Batch]) -> None:
        """Read the log to its head. Raises RetiredError when the location is retired there."""
        at_head = False
        while not at_head:
            batch = await receive.receive()
            self._fold(batch)
            at_head = batch.at_head
        self._count(batch)
        self._require_location()

    async def follow(self, receive: trio.MemoryReceiveChannel[Batch]) -> None:
        """Let each change take effect, until RetiredError is raised."""
        async for batch in receive:
            for monitor_id in self._fold(batch):
                self._reschedule(monitor_id)
            self._count(batch)
            if batch.at_head:
                self._require_location()

    def _require_location(self) -> None:
        if self._configuration.is_retired:
            raise RetiredError(
                f"location {self._configuration.location.code} was retired while this checker ran "
                "or started, so it ends; start it again if servers are to be checked there"
            )

    def _fold(self, batch: Batch) -> dict[UUID, None]:
        """Return the monitors that changed, each once, in order."""
        touched = (self._configuration.apply(each.event) for each in batch.events)
        return dict.fromkeys(chain.from_iterable(touched))

    def _reschedule(self, monitor_id: UUID) -> None:
        monitor = self._find(monitor_id)
        if monitor is None:
            self._schedule.remove(monitor_id)
        else:
            now = trio.current_time()
            self._schedule.watch(monitor_id, monitor.interval_seconds, now, monitor.changed_at)
        self._on_change(monitor_id)

    def _count(self, batch: Batch) -> None:
        self._status.position = batch.position
        self._status.monitors = len(self._configuration)
        self._status.watched = len(self._schedule)
