"""Many monitors over a long virtual time, with changes and restarts, and what must come of it.

What is expected is counted from the definition of the grid, by a model that knows no heap:
steps of each monitor's life, without those that fell into a restart.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from datetime import UTC, datetime
from math import floor
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import trio

from checker.schedule.grid import unit_fraction
from tests.checker.monitors import ME, NOW, UP
from tests.checker.virtual import Results, VirtualChecker, change, new_monitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

    from domain.check import Outcome
    from domain.checks import PerformedCheck
    from domain.monitor import Monitor
    from mail.guard import ProbeGuard
    from mail.protocols.target import ProbeTarget


DAY = 86_400.0
INTERVALS = (30, 60, 240.5, 1440)
"""In minutes."""

CHANGES_A_PROCESS = 40

AWAY = (0.0, 30.0, 700.0, 5 * 3600.0)
"""How many seconds the restarts take, in turn."""

MILLISECOND = 0.0015
"""Due times are recorded in whole milliseconds."""

QUIET_SECONDS = 15.0
"""No due time of a monitor lies so near to a change of it, or decides what a restart does."""

LONGEST_CHECK_SECONDS = 1.5


class Made(NamedTuple):
    """A check that was made: when it was due and when it began, in seconds since 1970."""

    due: float
    started: float


class Dues(Results):
    """Keeps when each monitor was checked, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.dues: defaultdict[UUID, list[Made]] = defaultdict(list)
        self.last = NOW

    def put(self, check: PerformedCheck) -> None:
        due, started = map(datetime.fromisoformat, (check.due_at, check.started_at))
        self.dues[check.monitor_id].append(Made(due.timestamp(), started.timestamp()))
        self.last = check.finished_at


class Span(NamedTuple):
    """A time in which a monitor was to be checked without a change."""

    begin: float
    end: float
    interval: float
    phase: float

    def steps(self, after: float, until: float) -> list[float]:
        """Return when it was due, by the definition of the grid."""
        first = floor(max(after, self.begin) / self.interval - self.phase) + 1
        last = floor(min(until, self.end) / self.interval - self.phase)
        return [(step + self.phase) * self.interval for step in range(first, last + 1)]


class Life:
    """One monitor, and when it was to be checked."""

    def __init__(self, monitor: Monitor, minutes: float) -> None:
        self.monitor = monitor
        self.minutes = minutes
        self.spans: list[Span] = []
        self.begin: float | None = None
        self.is_deleted = False

    def current(self, end: float) -> Span:
        """Return the span that began last, as if it ended then."""
        begin = end - DAY if self.begin is None else self.begin
        return Span(begin, end, self.minutes * 60, unit_fraction(self.monitor.id))

    def pause(self, now: float) -> None:
        """Check it no more."""
        if self.begin is not None:
            self.spans.append(self.current(now))
        self.begin = None

    def is_quiet(self, now: float) -> bool:
        """Whether no step is near."""
        near = self.current(now + QUIET_SECONDS)
        return not near.steps(now - QUIET_SECONDS, now + QUIET_SECONDS)


class Restart(NamedTuple):
    """When the last check ended, and between which times no checker ran."""

    absent_since: float
    stopped: float
    started: float


class ThirtyDays:
    """The run, then the judgement."""

    def __init__(self, clock: MockClock, monitors: int, *, days: float, seed: int = 1) -> None:
        self._clock = clock
        self._days = days
        self._chance = Random(seed)  # noqa: S311 - the same changes each time
        self.lives: list[Life] = []
        self.log: list[Any] = []
        self.results = Dues()
        self.restarts: list[Restart] = []
        self.changes: Counter[str] = Counter()
        self.not_made = 0
        self._monitors = monitors
        self._stops: list[float] = []
        self._running: Counter[str] = Counter()

    @property
    def checks(self) -> int:
        """How many checks were made."""
        return sum(map(len, self.results.dues.values()))

    async def run(self) -> None:
        """Live: changes and restarts, evenly over the time. Then judge."""
        self._began = trio.current_time()
        self._first = self._now()
        self._create(self._monitors)
        for away in AWAY:
            await self._one_process(self._days * DAY / (len(AWAY) + 1))
            stopped, absent_since = self._now(), self.results.last.timestamp()
            await trio.sleep(away)
            self.restarts.append(Restart(absent_since, stopped, self._now()))
        await self._one_process(self._days * DAY / (len(AWAY) + 1))
        for each in self.lives:
            each.pause(self._now())
        self._judge()

    async def _one_process(self, seconds: float) -> None:
        checker = VirtualChecker(self._clock, self._probe, results=self.results, began=self._began)
        checker.feed_events(self.log)
        absent_since = self.restarts[-1].absent_since if self.restarts else self._now()
        async with trio.open_nursery() as nursery:
            await nursery.start(checker.run, absent_since - NOW.timestamp() + self._began)
            for _ in range(CHANGES_A_PROCESS):
                await trio.sleep(seconds / (CHANGES_A_PROCESS + 1))
                self._change_some(checker)
            await trio.sleep(seconds / (CHANGES_A_PROCESS + 1))
            nursery.cancel_scope.cancel()
        self._stops.append(self._now())
        self._running.clear()
        self.not_made += checker.metrics.not_made
        assert checker.schedule.skipped == checker.schedule.overrun == 0
        assert checker.metrics.worst_schedule_lag < 1

    def _now(self) -> float:
        return NOW.timestamp() + trio.current_time() - self._began

    async def _probe(self, target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
        name = target.hostname
        self._running[name] += 1
        assert self._running[name] == 1, "two checks of one monitor at a time"
        await trio.sleep(len(name) % 5 / 3)
        self._running[name] -= 1
        return UP

    def _create(self, count: int) -> None:
        for _ in range(count):
            minutes = INTERVALS[len(self.lives) % len(INTERVALS)]
            monitor = new_monitor(
                UUID(int=self._chance.getrandbits(128)),
                datetime.fromtimestamp(self._now(), UTC),
                hostname=f"host{len(self.lives)}",
                check_interval=minutes,
            )
            life = Life(monitor, minutes)
            life.begin = self._now()
            self.lives.append(life)
            self.log += monitor.collect_events()

    def _change_some(self, checker: VirtualChecker) -> None:
        now, before = self._now(), len(self.log)
        for life in self._chance.sample(self.lives, len(self.lives) // 50 + 1):
            if life.is_quiet(now) and not life.is_deleted:
                self._change(life, now)
        if self._chance.randrange(5) == 0:
            self._create(1)
            self.changes["create"] += 1
        checker.feed_events(self.log[before:])

    def _change(self, life: Life, now: float) -> None:
        kinds = ("pause", "pause", "interval", "port", "delete")
        kind = "resume" if life.begin is None else self._chance.choice(kinds)
        life.pause(now)
        moment = datetime.fromtimestamp(now, UTC)
        if kind == "pause":
            change(life.monitor, moment, status="disabled")
        elif kind == "delete":
            life.monitor.delete(actor=ME, now=NOW)
            life.is_deleted = True
        else:
            if kind == "interval":
                life.minutes = next(each for each in INTERVALS if each != life.minutes)
            port = self._chance.randrange(1, 60_000)
            fields = {"status": "active", "check_interval": life.minutes, "port": port}
            change(life.monitor, moment, **fields)
            life.begin = now
        self.changes[kind] += 1
        self.log += life.monitor.collect_events()

    def _judge(self) -> None:
        missing = sum(self._judge_life(each) for each in self.lives)
        # A restart costs what was under way, and nothing else.
        assert missing == self.not_made

    def _judge_life(self, life: Life) -> int:
        """Compare what came with what should; return how many checks a restart cost."""
        made = self.results.dues[life.monitor.id]
        for restart in self.restarts:
            # Due before, begun after: only a restart makes up for a check, and for one of each.
            made_up = [each for each in made if each.due <= restart.started <= each.started]
            assert len(made_up) in self._made_up(life, restart)
            made = [each for each in made if each not in made_up]
        pending = sorted(each.due for each in made)
        lost = 0
        for expected in sorted(self._expected(life)):
            found = bisect_left(pending, expected - MILLISECOND)
            if found < len(pending) and pending[found] <= expected + MILLISECOND:
                del pending[found]
            else:
                assert any(0 <= stop - expected < LONGEST_CHECK_SECONDS for stop in self._stops)
                lost += 1
        assert pending == []
        return lost

    def _expected(self, life: Life) -> Iterator[float]:
        """Yield each step of the grid while a process ran, and each change of the monitor."""
        for span in life.spans:
            if span.begin > self._first:
                yield span.begin
            for due in span.steps(span.begin, span.end):
                if not any(each.stopped < due <= each.started for each in self.restarts):
                    yield due

    def _made_up(self, life: Life, restart: Restart) -> set[int]:
        """Return how many checks beside the grid a restart may make of a monitor."""
        _, stopped, started = restart
        for span in life.spans:
            if span.begin < stopped < span.end and span.steps(restart.absent_since, started):
                # One whose own phase comes at once is left to it.
                return {0, 1} if span.steps(started, started + QUIET_SECONDS) else {1}
        return {0}
