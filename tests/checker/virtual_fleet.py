"""Several checkers of one location in virtual time: a table of leases, one log, no threads."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import trio
from eventsourcing.persistence import IntegrityError

from checker.fleet.leased_claims import LeasedClaims
from checker.recording.check_log import CheckLog
from checker.runtime.metrics import CheckerMetrics
from checker.schedule.grid import unit_fraction
from checker.schedule.wall_clock import SharedClock
from tests.checker.monitors import HERE, NOW, UP, ids
from tests.checker.virtual import Results, VirtualChecker, new_monitor
from tests.memory_leases import LeaseTable, MemoryLeases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from trio.testing import MockClock

    from checker.loop.check import Probe
    from domain.check import Outcome
    from domain.checks import PerformedCheck
    from domain.monitor import Monitor
    from mail.guard import ProbeGuard
    from mail.protocols.target import ProbeTarget
    from mail.transcript import Trace


T = TypeVar("T")

INTERVAL_SECONDS = 30.0
TOLERATED_SECONDS = 12.0
"""How long no checker may check some monitors after one dies, freezes or joins: five seconds
until it counts as frozen, two snapshots, five seconds for a check that hangs."""


@dataclass(frozen=True)
class Stored:
    """The parts of a check in the log that these tests need."""

    due_at: str
    started_at: str
    monitor_version: int
    timestamp: datetime
    outcome: Mapping[str, Any]
    by: str


class VirtualChecks:
    """One process's sight of the log, which takes each version of a stream once."""

    def __init__(self, log: dict[UUID, list[Stored]], name: str) -> None:
        self._log = log
        self._name = name
        self._tails: dict[UUID, int] = {}

    def look(
        self, monitor_ids: Sequence[UUID], location: str, limit: int
    ) -> dict[UUID, list[Stored]]:
        del location
        self._tails.update({each: len(self._log[each]) for each in monitor_ids})
        return {each: self._log[each][: -limit - 1 : -1] for each in monitor_ids}

    def record(self, batch: Sequence[PerformedCheck], **who: Any) -> None:  # noqa: ANN401
        del who
        for each in batch:
            stream = self._log[each.monitor_id]
            if self._tails.setdefault(each.monitor_id, len(stream)) != len(stream):
                for any_ in batch:
                    self._tails.pop(any_.monitor_id, None)
                raise IntegrityError
        for each in batch:
            self._log[each.monitor_id].append(
                Stored(
                    each.due_at,
                    each.started_at,
                    each.monitor_version,
                    each.finished_at,
                    each.outcome,
                    self._name,
                )
            )
            self._tails[each.monitor_id] += 1


class Recording(Results):
    """Records at once, unless its process is frozen."""

    def __init__(self, member: Member, check_log: CheckLog) -> None:
        super().__init__()
        self._member = member
        self._check_log = check_log
        self._done = 0

    @property
    def processed(self) -> int:
        return self._done

    def put(self, check: PerformedCheck) -> None:
        super().put(check)
        self.flush()

    def flush(self) -> None:
        batch = self.checks[self._done :]
        if batch and not self._member.is_frozen:
            appended = self._check_log.append(batch)
            self._member.metrics.recorded += appended.recorded
            self._member.metrics.fenced += appended.fenced
            self._done = len(self.checks)


class Member:
    """One checker process of the fleet."""

    def __init__(self, fleet: Fleet, name: str, clock_offset_seconds: float = 0.0) -> None:
        self.name = name
        self.metrics = CheckerMetrics()
        self.begun: list[tuple[float, str]] = []
        self._fleet = fleet
        self._thawed = trio.Event()
        self._thawed.set()
        self._life = trio.CancelScope()
        self.leases = MemoryLeases(fleet.table)
        clock = SharedClock(
            lambda: fleet.wall() + timedelta(seconds=clock_offset_seconds), trio.current_time
        )
        self.claims = LeasedClaims(self.leases, clock, self.metrics, self._call)
        checks = VirtualChecks(fleet.log, name)
        check_log = CheckLog(checks, HERE, clock=clock, is_shared=True)  # type: ignore[arg-type] # stands in for Checks
        self.results = Recording(self, check_log)
        self.checker = FleetChecker(fleet, self, clock)

    @property
    def is_frozen(self) -> bool:
        return not self._thawed.is_set()

    @property
    def held(self) -> frozenset[int]:
        """What the table says that it holds."""
        session = self._fleet.table.sessions.get(self.leases.number or 0)
        return session.shards if session else frozenset()

    async def run(self) -> None:
        with self._life:
            self.checker.feed_events(self._fleet.events)
            await self.checker.run()

    def freeze(self) -> None:
        """Stop it as SIGSTOP does: its session stays."""
        self._thawed = trio.Event()

    def thaw(self) -> None:
        self._thawed.set()
        self.results.flush()

    def kill(self) -> None:
        """End it as SIGKILL does: the server notices at once."""
        self._life.cancel()
        self.leases.close()

    async def probe(self, target: ProbeTarget, guard: ProbeGuard, trace: Trace) -> Outcome:
        self.begun.append((trio.current_time(), target.hostname))
        if self._fleet.server is not None:
            return await self._fleet.server(target, guard, trace)
        await trio.sleep(self._fleet.check_seconds)
        await self._thawed.wait()
        return UP

    async def _call(self, work: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint()
        await self._thawed.wait()
        return work()


class FleetChecker(VirtualChecker):
    """The parts of a member between the feed and the results."""

    def __init__(self, fleet: Fleet, member: Member, clock: SharedClock) -> None:
        self._shared_clock = clock
        self._fleet = fleet
        super().__init__(
            fleet.clock,
            member.probe,
            results=member.results,
            claims=member.claims,
            began=fleet.began,
        )
        self.results = member.results

    def wall(self) -> datetime:
        return self._shared_clock()

    async def _read_last_checks(self, monitor_ids: Sequence[UUID]) -> Mapping[UUID, Any]:
        await trio.lowlevel.checkpoint()
        return {each: self._fleet.log[each][-1] for each in monitor_ids if self._fleet.log[each]}


class Fleet:
    """The members, what they share, and what came of it."""

    def __init__(self, clock: MockClock, nursery: trio.Nursery) -> None:
        self.clock = clock
        self.began = trio.current_time()
        self.table = LeaseTable(lambda: self.wall().timestamp())
        self.log: dict[UUID, list[Stored]] = defaultdict(list)
        self.check_seconds = 0.5
        self.server: Probe | None = None
        """What is checked, in place of a server that answers after `check_seconds`."""
        minutes = INTERVAL_SECONDS / 60
        self.watch(
            [
                new_monitor(each, hostname=f"m{number}", check_interval=minutes)
                for number, each in enumerate(ids(200))
            ]
        )
        self.members: dict[str, Member] = {}
        self._nursery = nursery

    def watch(self, monitors: list[Monitor]) -> None:
        """Watch other monitors than those that it was made with; no member has joined yet."""
        self.monitors = monitors
        self.events = [event for each in monitors for event in each.collect_events()]

    def wall(self) -> datetime:
        """Return the database's clock."""
        return NOW + timedelta(seconds=self.clock.current_time() - self.began)

    def join(self, name: str, clock_offset_seconds: float = 0.0) -> Member:
        member = self.members[name] = Member(self, name, clock_offset_seconds)
        self._nursery.start_soon(member.run)
        return member

    def is_shared(self, *members: Member) -> bool:
        """Return whether the members hold all shards, each as many as the others."""
        counts = [len(each.held) for each in members]
        return sum(counts) == 64 and max(counts) - min(counts) <= 1

    def steps(self, monitor: Monitor) -> list[int]:
        """Return the steps of its grid for which a monitor was checked, in the order of the log."""
        phase = unit_fraction(monitor.id)
        found = []
        for each in self.log[monitor.id]:
            due = datetime.fromisoformat(each.due_at).timestamp()
            steps = due / INTERVAL_SECONDS - phase
            if abs(steps - round(steps)) < 0.001:
                found.append(round(steps))
        return found

    def assert_nothing_doubled(self) -> None:
        for monitor in self.monitors:
            dues = [each.due_at for each in self.log[monitor.id]]
            assert dues == sorted(set(dues)), [
                (each.due_at, each.started_at, each.by) for each in self.log[monitor.id]
            ]

    def assert_missing_only_after(self, *moments: float) -> None:
        """Assert that each due time was checked that did not come right after a disturbance."""
        last = self.wall().timestamp() - self.check_seconds - 1
        for monitor in self.monitors:
            steps = self.steps(monitor)
            due = (steps[0] + unit_fraction(monitor.id)) * INTERVAL_SECONDS
            expected = range(steps[0], steps[0] + int((last - due) // INTERVAL_SECONDS) + 1)
            for missing in set(expected) - set(steps):
                at = (missing + unit_fraction(monitor.id)) * INTERVAL_SECONDS - NOW.timestamp()
                assert any(0 <= at - each <= TOLERATED_SECONDS for each in moments), (at, moments)

    def now(self) -> float:
        """Return how many seconds have passed."""
        return trio.current_time() - self.began
