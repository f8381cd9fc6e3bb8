"""Follows the logs, lets the policy decide, and stores each decision once.

The position of the `checks` log moves in the transaction that stores what was decided up to it,
and only from where this process read it: another decider makes that transaction fail, and this
one reads all again. Configuration is followed without a position, since what follows from it
is decided from the state of now.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from alerting.configuration import Configuration
from alerting.metrics import AlertingMetrics
from alerting.policy.decisions import ALERTING, moment_of
from alerting.policy.policy import Policy
from alerting.policy_clock import arrival_times
from alerting.reading import check_of, position_at
from alerting.surroundings import MonitorChannels, MonitorWindows
from domain.check import CheckPerformed
from domain.incidents import AlertingStarted, TrackingMove
from store.log_reader import LogReader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from alerting.configuration import Effect
    from alerting.policy.facts import Timing
    from domain.notification import Notification
    from store.log_reader import LoggedEvent
    from store.store import Store


log = logging.getLogger("postwatch.alerting")

POLICY_VERSION: Final = 1
BATCH: Final = 500
"""Checks decided on in one transaction."""

_PAGE: Final = 5000
_SOURCE: Final = "checks"
MOVE_SECONDS: Final = 10.0
"""How often the position moves while there is nothing to decide. Each move is a synced write."""

MOVE_CHECKS: Final = 5000
LEAST_MEMORY_SECONDS: Final = 900.0
"""How far back a start reads checks at least; streaks of long intervals need more."""

LATE_SECONDS: Final = 900.0
"""A message about something that is over is not sent when it comes so late."""


class Decider:
    """Decides on the checks of a store. Used by one thread.

    `clock` gives seconds since 1970. After any error of the store call `load` again.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        timing: Timing | None = None,
        metrics: AlertingMetrics | None = None,
        batch: int = BATCH,
    ) -> None:
        """Take `batch`, how many checks are decided on in one transaction."""
        self._batch = batch
        self._store = store
        self._clock = clock
        self._timing = timing
        self._metrics = metrics or AlertingMetrics()
        self._checks = store.reader("checks")
        self._monitoring = store.reader("monitoring")
        self._incidents = LogReader(store.incidents)

    def load(self) -> None:
        """Read what was decided and what it rests on; begin to decide after that.

        On a store without a position, which is new, imported or restored, deciding begins at
        the newest check. Raises IntegrityError when another process begins at the same time.
        """
        tracked = self._store.incidents.tracked(_SOURCE)
        if tracked is None:
            tracked = self._checks.last_given()
            self._store.incidents.start(tracked, POLICY_VERSION, ALERTING)
            log.info("alerting begins to decide after position %d of the checks log", tracked)
        self._tracked = self._position = tracked
        self._moved_at = self._clock()
        self._mine: set[tuple[UUID, int]] = set()
        self._has_skipped = False
        self._pending: deque[LoggedEvent] = deque()
        self._monitoring_position = 0
        decisions = self._read_decisions()
        started = _newest_start(decisions)
        self._started_at = started.timestamp.timestamp()
        self._configuration = Configuration(self._started_at)
        self.policy = Policy(
            MonitorWindows(self._configuration), MonitorChannels(self._configuration), self._timing
        )
        for each in decisions:
            self.policy.decided.fold(each.event)
        self._read_monitoring()
        self._count_again(max(started.checks_position, self._memory_begins_at()))
        decided_at = max(each.event.timestamp.timestamp() for each in decisions)
        # Settings that a decision rests on were made before it.
        self._note_changes(decided_at)
        self.policy.resume(decided_at)

    def _read_decisions(self) -> list[LoggedEvent]:
        found: list[LoggedEvent] = []
        while page := self._incidents.after(found[-1].position if found else 0, _PAGE):
            found += page
        self._incidents_position = found[-1].position if found else 0
        return found

    def _memory_begins_at(self) -> int:
        """Return the position after which the checks are that still matter for streaks.

        What is decided is in the log of incidents, so nothing older is needed.
        """
        settings = Configuration()
        for each in self._pending:
            settings.fold(each.event)
        newest = self._checks.after(self._tracked - 1, 1)
        if not newest:
            return 0
        back = max(settings.memory_seconds(), LEAST_MEMORY_SECONDS)
        moment = newest[0].event.timestamp.timestamp() - back
        return position_at(self._checks, moment, self._tracked)

    def _count_again(self, position: int) -> None:
        """Count the checks that are decided on already, without deciding."""
        while position < self._tracked and (page := self._checks.after(position, _PAGE)):
            page = [each for each in page if each.position <= self._tracked]
            if not page:
                return
            self._note_checks(page)
            position = page[-1].position

    def step(self) -> bool:
        """Decide on the next checks; return whether there were any.

        At the head of the log it also decides what the clock says. Raises IntegrityError when
        another process decided meanwhile, and errors of the store; nothing is stored then.
        """
        batch = self._checks.after(self._position, self._batch)
        self._read_monitoring()
        self._note_checks(batch)
        if batch:
            self._position = batch[-1].position
            self._metrics.checks.inc(len(batch))
        if len(batch) < self._batch:
            self._look_at_now()
        self._store_decisions()
        return bool(batch)

    def next_deadline(self) -> float:
        """Return when there is something to decide even if nothing happens."""
        return self.policy.next_deadline()

    def wants_to_move(self) -> bool:
        """Return whether checks were read so long ago that their position is to be stored."""
        return self._position > self._tracked and (
            self._position - self._tracked >= MOVE_CHECKS
            or self._clock() - self._moved_at >= MOVE_SECONDS
        )

    def finish(self) -> None:
        """Store the position reached, so that the next start counts less again."""
        if self._position > self._tracked:
            self._record([])

    # Facts.

    def _note_checks(self, batch: Sequence[LoggedEvent]) -> None:
        """Tell checks to the policy, and the changes of settings that were made before them."""
        checks = [check_of(each.event) for each in batch if isinstance(each.event, CheckPerformed)]
        ends = [each.finished for each in checks]
        times = arrival_times(ends, self.policy.now, self._clock())
        for check, arrived in zip(checks, times, strict=True):
            self._note_changes(arrived)
            self.policy.note_check(check, arrived)

    def _read_monitoring(self) -> None:
        while page := self._monitoring.after(self._monitoring_position, _PAGE):
            self._pending.extend(page)
            self._monitoring_position = page[-1].position

    def _note_changes(self, until: float) -> None:
        if not self._monitoring_position:
            self._read_monitoring()
        while self._pending and self._pending[0].event.timestamp.timestamp() <= until:
            event = self._pending.popleft().event
            effect = self._configuration.fold(event)
            self._tell(effect, max(self.policy.now, event.timestamp.timestamp()))

    def _tell(self, effect: Effect, now: float) -> None:
        for monitor_id in sorted(effect.changed):
            if not self._configuration.monitors[monitor_id].is_deleted:
                self.policy.note_monitor(self._configuration.settings(monitor_id), now)
        if effect.removed is not None:
            self.policy.note_removed(effect.removed, now)
        if effect.plans:
            self.policy.note_plans_changed(now)

    def _look_at_now(self) -> None:
        """Decide what the clock, people and the newest settings say at the head of the log."""
        now = max(self._clock(), self.policy.now)
        self._note_changes(float("inf"))
        for each in self._incidents.after(self._incidents_position, _PAGE):
            self._incidents_position = each.position
            key = (each.event.originator_id, each.event.originator_version)
            if key in self._mine:
                self._mine.discard(key)
            else:
                self.policy.note_decision(each.event, now)
        self.policy.advance(now)

    # Decisions.

    def _store_decisions(self) -> None:
        events = self.policy.take()
        if events or self.wants_to_move():
            self._record(events)
        if not self._has_skipped and self._position >= self._checks.head():
            self._skip_what_is_late()
        self._metrics.lag.set(max(self._checks.head() - self._position, 0))

    def _record(self, events: Sequence[Any]) -> None:
        move = TrackingMove(_SOURCE, self._tracked, self._position)
        self._store.incidents.record(events, move)
        self._tracked, self._moved_at = self._position, self._clock()
        self._mine.update((each.originator_id, each.originator_version) for each in events)
        for each in events:
            self._metrics.events.labels(type(each).TOPIC).inc()
        self._metrics.position.set(self._tracked)
        self._metrics.open_incidents.set(self.policy.decided.count_open())

    def _skip_what_is_late(self) -> None:
        """Record of messages that come too late that they are not sent, once after a start.

        A message about something that goes on is never too late, unless it was planned before
        the store was imported or restored.
        """
        self._has_skipped = True
        now = self._clock()
        skipped: list[Any] = []
        for planned in list(self.policy.decided.unfinished.values()):
            at = planned.timestamp.timestamp()
            is_over = not self.policy.decided.is_any_open(planned.incidents)
            if at < self._started_at or (at < now - LATE_SECONDS and is_over):
                reason = "restored" if at < self._started_at else "late"
                notification = cast("Notification", planned.mutate(None))
                notification.skip(reason, actor=ALERTING, now=moment_of(now))
                skipped += notification.collect_events()
        if skipped:
            for each in skipped:
                self.policy.decided.fold(each)
            self._record(skipped)


def _newest_start(decisions: Sequence[LoggedEvent]) -> AlertingStarted:
    """Return the newest event that says from where on is decided."""
    found = [each.event for each in decisions if isinstance(each.event, AlertingStarted)]
    return found[-1]
