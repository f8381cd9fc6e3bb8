"""The `checks` log: one stream for each monitor and location."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError

from domain.check import CheckPerformed, check_log_id
from domain.transcoding import OrjsonTranscoder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from eventsourcing.utils import EnvType

    from domain.actor import Actor


@dataclass(frozen=True, slots=True)
class PerformedCheck:
    """A check that is still to be recorded."""

    monitor_id: UUID
    monitor_version: int
    kind: str
    due_at: str
    started_at: str
    finished_at: datetime
    outcome: dict[str, Any]


class Checks(Application[UUID]):
    """Appends checks in batches: one transaction a batch."""

    name = "checks"

    def __init__(self, env: EnvType | None = None) -> None:
        super().__init__(env)
        self._versions: dict[UUID, int] = {}

    def construct_transcoder(self) -> OrjsonTranscoder:
        """Return the transcoder that foreign data cannot poison."""
        return OrjsonTranscoder()

    def record(self, batch: Sequence[PerformedCheck], *, location: str, actor: Actor) -> None:
        """Append a batch of checks, all or none.

        Raises IntegrityError when another process recorded checks of the same monitors
        meanwhile; nothing is stored then, and the next call starts from the log again.
        """
        versions = dict(self._versions)
        events = [self._event(check, location, actor, versions) for check in batch]
        try:
            self.save(*events)
        except IntegrityError:
            for check in batch:
                self._versions.pop(check_log_id(check.monitor_id, location), None)
            raise
        self._versions = versions

    def newest(self, monitor_id: UUID, location: str, limit: int) -> list[CheckPerformed]:
        """Return the newest checks of a monitor at a location, newest first."""
        events = self.events.get(check_log_id(monitor_id, location), desc=True, limit=limit)
        return [event for event in events if isinstance(event, CheckPerformed)]

    def _event(
        self, check: PerformedCheck, location: str, actor: Actor, versions: dict[UUID, int]
    ) -> CheckPerformed:
        stream = check_log_id(check.monitor_id, location)
        if stream not in versions:
            versions[stream] = self._last_version(stream)
        versions[stream] += 1
        return CheckPerformed(
            originator_id=stream,
            originator_version=versions[stream],
            timestamp=check.finished_at,
            monitor_id=str(check.monitor_id),
            monitor_version=check.monitor_version,
            kind=check.kind,
            location=location,
            due_at=check.due_at,
            started_at=check.started_at,
            outcome=check.outcome,
            actor=actor,
        )

    def _last_version(self, stream: UUID) -> int:
        last = self.recorder.select_events(stream, desc=True, limit=1)
        return last[0].originator_version if last else 0
