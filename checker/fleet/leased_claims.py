"""Claims by leases: how several checkers of a location share its shards.

About once a second each checker sends a heartbeat and reads a snapshot of the fleet: which
checkers there are, and which shards they hold. It gives up the shards beyond its fair share,
once their running checks are recorded, and takes free ones up to its share. When another
checker sends no heartbeat for too long, it ends the database session of that checker, which
frees its shards.

A checker may use its shards only for a few seconds after each snapshot. So a checker that was
frozen, or cannot reach the database, stops beginning checks before other checkers get its
shards. The fence of the log (`Fence`) decides whether the checks that it had begun are
recorded.

No clocks of hosts are compared: a checker counts as frozen when its heartbeat stays the same
over several snapshots. A checker that took no snapshot for a while starts to observe the others
anew.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import trio
from typing_extensions import override

from checker.fleet.claims import SHARDS, Claims, decide, shard_of
from store.ports.errors import STORE_UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable
    from uuid import UUID

    from checker.fleet.claims import ShardWork
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.wall_clock import SharedClock
    from store.ports.leases import FleetSession, FleetSnapshot, Heartbeat, Leases


FROZEN_SECONDS: Final = 5.0
"""A checker without a new heartbeat for so long counts as frozen; its session is ended."""

ATTENTION_SECONDS: Final = 2.5
"""Snapshots further apart than this say nothing about the time between them."""


class LivenessMonitor:
    """Finds frozen checkers: remembers since when each heartbeat has been the same.

    Pure: time is an argument.
    """

    def __init__(self) -> None:
        self._observed = float("-inf")
        self._since: dict[int, tuple[int, float]] = {}

    def find_frozen(self, others: Iterable[FleetSession], now: float) -> list[FleetSession]:
        """Observe the other sessions of a snapshot; return those of frozen checkers."""
        is_attentive = now - self._observed <= ATTENTION_SECONDS
        before = self._since if is_attentive else {}
        self._observed = now
        self._since = {}
        found = []
        for each in others:
            if not each.is_member and each.beat is None:
                continue  # No checker: no heartbeats are expected of it.
            beats, since = before.get(each.number, (each.beats, now))
            since = since if beats == each.beats else now
            self._since[each.number] = (each.beats, since)
            if now - since >= FROZEN_SECONDS:
                found.append(each)
        return found


log = logging.getLogger("postwatch.checker")

OFFSET_SECONDS: Final = 2.0
"""A larger offset of a host's clock from the database's is logged."""

FOREIGN_SECONDS: Final = 5.0
"""A checker that starts or leaves looks like a foreign session for less than this."""


class LeaseLog:
    """Logs changes of the fleet and problems that need an operator, each of them once."""

    def __init__(self, metrics: CheckerMetrics) -> None:
        self._metrics = metrics
        self._unavailable_since: float | None = None
        self._logged_share: tuple[int, int] | None = None
        self._foreign_since: dict[int, float] = {}
        self._logged_sessions: set[int] = set()
        self._countries: frozenset[str] = frozenset()
        self._is_offset = False

    def log_unavailable(self, error: Exception) -> None:
        """Log that this checker holds nothing, because it cannot reach the database."""
        self._metrics.shards_held = 0
        if self._unavailable_since is None:
            self._unavailable_since = trio.current_time()
            log.warning("cannot claim monitors, so none are checked from here: %s", error)

    def log_available(self) -> None:
        """Log that the database is available again, if it was not."""
        if self._unavailable_since is not None:
            seconds = trio.current_time() - self._unavailable_since
            self._unavailable_since = None
            log.warning("can claim monitors again after %.1f s", seconds)

    def log_snapshot(self, snapshot: FleetSnapshot, held: Collection[int]) -> None:
        """Log the share of this checker when it changes, and what is wrong in the fleet."""
        members = sum(each.is_member for each in snapshot.sessions)
        if (len(held), members) != self._logged_share:
            self._logged_share = (len(held), members)
            log.info(
                "%d of %d shards held; checkers that share them: %d", len(held), SHARDS, members
            )
        self._log_foreign_sessions(snapshot)
        self._log_countries(snapshot)
        self._log_offset(self._metrics.clock_offset_seconds)

    def log_eviction(self, session: FleetSession, *, has_ended: bool) -> None:
        """Log that the session of a frozen checker was ended, or could not be."""
        holder = session.beat.holder if session.beat else "a checker that never sent a heartbeat"
        if has_ended:
            log.warning(
                "%s was frozen for too long; its session %d is ended, its %d shards are free",
                holder,
                session.number,
                len(session.shards),
            )
        elif session.number not in self._logged_sessions:
            self._logged_sessions.add(session.number)
            log.error(
                "%s is frozen and keeps %d shards, but we lack the right to end its session %d; "
                "let all checkers log in to the database as the same role, or end it by hand: "
                "SELECT pg_terminate_backend(%d)",
                holder,
                len(session.shards),
                session.number,
                session.number,
            )

    def _log_foreign_sessions(self, snapshot: FleetSnapshot) -> None:
        now = trio.current_time()
        foreign = [
            each
            for each in snapshot.sessions
            if each.shards and not each.is_member and not each.beat
        ]
        since = self._foreign_since
        self._foreign_since = {each.number: since.get(each.number, now) for each in foreign}
        for each in foreign:
            if (
                now - self._foreign_since[each.number] >= FOREIGN_SECONDS
                and each.number not in self._logged_sessions
            ):
                self._logged_sessions.add(each.number)
                log.error(
                    "session %d of the database holds shards %s of this location and is no "
                    "checker, so no checker checks their monitors; end it: "
                    "SELECT pg_terminate_backend(%d)",
                    each.number,
                    ", ".join(map(str, sorted(each.shards))),
                    each.number,
                )

    def _log_countries(self, snapshot: FleetSnapshot) -> None:
        countries: dict[str, list[str]] = {}
        for beat in (each.beat for each in snapshot.sessions if each.beat):
            countries.setdefault(beat.country or "no country", []).append(beat.holder)
        if countries.keys() != self._countries and len(countries) > 1:
            holders = (
                f"{each} ({', '.join(sorted(countries[each]))})" for each in sorted(countries)
            )
            log.error(
                "the checkers of this location name different countries for it: %s; start all of "
                "them with the same --country, or POSTWATCH_COUNTRY",
                "; ".join(holders),
            )
        elif len(countries) == 1 and len(self._countries) > 1:
            log.warning("the checkers of this location name the same country again: %s", *countries)
        self._countries = frozenset(countries)

    def _log_offset(self, seconds: float) -> None:
        is_offset = abs(seconds) > OFFSET_SECONDS
        if is_offset and not self._is_offset:
            log.warning(
                "the clock of this host is %.1f s %s that of the database, which due times "
                "follow; let both be set by NTP",
                abs(seconds),
                "ahead of" if seconds > 0 else "behind",
            )
        self._is_offset = is_offset


SNAPSHOT_SECONDS: Final = 1.0
HANDOVER_SECONDS: Final = 0.1
"""The pause between two looks whether the checks of a shard to give up are recorded."""

LEASE_SECONDS: Final = 4.0
"""How long a snapshot is valid: shorter than the others wait for a frozen checker."""

RELEASE_SECONDS: Final = 5.0
"""How long a shard to give up waits for its running checks. The fence keeps the log right
without it; the wait saves servers from being checked twice."""

T = TypeVar("T")


class RunBlocking(Protocol):
    """Runs a blocking function outside the event loop."""

    async def __call__(self, work: Callable[[], T]) -> T:
        """Return what `work` returns."""


async def in_thread(work: Callable[[], T]) -> T:
    """Run a blocking function in a thread. A cancellation does not wait for its end."""
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


class LeasedClaims(Claims):
    """The claims of one checker that shares its location with others."""

    def __init__(
        self,
        leases: Leases,
        clock: SharedClock,
        metrics: CheckerMetrics,
        run_blocking: RunBlocking = in_thread,
    ) -> None:
        """Take the session, and the clock that is set from its snapshots."""
        self._leases = leases
        self._clock = clock
        self._metrics = metrics
        self._run_blocking = run_blocking
        self._session = 0
        self._held: set[int] = set()
        self._releasing: dict[int, float] = {}
        self._valid_until = float("-inf")
        self._liveness = LivenessMonitor()
        self._log = LeaseLog(metrics)

    @override
    def holds(self, monitor_id: UUID) -> bool:
        return shard_of(monitor_id) in self._held and trio.current_time() < self._valid_until

    @override
    async def keep(
        self,
        work: ShardWork,
        measure: Callable[[], Heartbeat],
        leaving: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        has_started = False
        while not leaving.is_set():
            if await self._try(lambda: self._take_turn(work, measure), work) and not has_started:
                has_started = True
                task_status.started()
            pause = HANDOVER_SECONDS if self._releasing else SNAPSHOT_SECONDS
            with trio.move_on_after(pause):
                await leaving.wait()
        await self._try(lambda: self._leave(work), work)

    async def _try(self, step: Callable[[], Awaitable[None]], work: ShardWork) -> bool:
        """Take a step. When the database is unavailable, stop all work and return False."""
        try:
            await step()
        except STORE_UNAVAILABLE as error:
            self._log.log_unavailable(error)
            await self._lose(work, set(self._held))
            self._releasing.clear()
            return False
        self._log.log_available()
        return True

    async def _take_turn(self, work: ShardWork, measure: Callable[[], Heartbeat]) -> None:
        if self._releasing and trio.current_time() < self._valid_until - LEASE_SECONDS / 2:
            await self._release(work)
            return
        snapshot = await self._take_snapshot(work, measure())
        await self._follow(snapshot, work)
        await self._rebalance(snapshot, work)
        await self._release(work)
        await self._evict(snapshot)
        self._metrics.shards_held = len(self._held)
        self._log.log_snapshot(snapshot, self._held)

    async def _take_snapshot(self, work: ShardWork, heartbeat: Heartbeat) -> FleetSnapshot:
        began, sent = trio.current_time(), self._clock.monotonic()
        snapshot = await self._run_blocking(lambda: self._leases.look(heartbeat))
        self._clock.note(snapshot.time, sent, self._clock.monotonic())
        self._metrics.clock_offset_seconds = self._clock.host_offset_seconds
        if began > self._valid_until or snapshot.session != self._session:
            # Other checkers may have held these shards meanwhile: start again with those still
            # held.
            await self._lose(work, set(self._held))
        if snapshot.session != self._session:
            self._releasing.clear()
        self._session = snapshot.session
        self._valid_until = began + LEASE_SECONDS
        return snapshot

    async def _follow(self, snapshot: FleetSnapshot, work: ShardWork) -> None:
        """Start and stop work so that it agrees with the locks in the snapshot."""
        ours = snapshot.shards_of(self._session)
        await self._lose(work, self._held - ours)
        await self._gain(work, ours - self._held - self._releasing.keys())

    async def _rebalance(self, snapshot: FleetSnapshot, work: ShardWork) -> None:
        members = {each.number: each.shards for each in snapshot.sessions if each.is_member}
        others = [each.shards for each in snapshot.sessions if not each.is_member]
        decision = decide(members, frozenset().union(*others), self._session)
        give = max(decision.give - len(self._releasing), 0)
        surplus = set(sorted(self._held)[len(self._held) - give :])
        await self._lose(work, surplus)
        now = trio.current_time()
        self._releasing.update(dict.fromkeys(surplus, now + RELEASE_SECONDS))
        if decision.take:
            taken = await self._run_blocking(lambda: self._leases.take(decision.take))
            await self._gain(work, taken)

    async def _release(self, work: ShardWork) -> None:
        now = trio.current_time()
        done = [
            shard
            for shard, until in self._releasing.items()
            if until <= now or work.is_drained(shard)
        ]
        if done:
            await self._run_blocking(lambda: self._leases.give(done))
            for shard in done:
                del self._releasing[shard]

    async def _evict(self, snapshot: FleetSnapshot) -> None:
        others = [each for each in snapshot.sessions if each.number != self._session]
        for session in self._liveness.find_frozen(others, trio.current_time()):
            has_ended = await self._run_blocking(partial(self._leases.end, session.number))
            self._log.log_eviction(session, has_ended=has_ended)

    async def _leave(self, work: ShardWork) -> None:
        """Release all shards, each when its running checks are recorded."""
        if not self._session:
            return
        await self._run_blocking(self._leases.leave)
        until = trio.current_time() + RELEASE_SECONDS
        self._releasing.update(dict.fromkeys(self._held, until))
        await self._lose(work, set(self._held))
        while self._releasing:
            await self._release(work)
            await trio.sleep(HANDOVER_SECONDS)

    async def _gain(self, work: ShardWork, shards: Collection[int]) -> None:
        if shards:
            self._held |= set(shards)
            # What was missed is found in the log: other checkers check here too.
            await work.start(shards, absent_since=trio.current_time())

    async def _lose(self, work: ShardWork, shards: Collection[int]) -> None:
        if shards:
            self._held -= set(shards)
            await work.stop(shards)
