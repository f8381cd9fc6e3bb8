"""Claims by leases: several checkers of a location share its shards.

About once a second a checker says that it lives, and looks who else does and what they
hold. It gives up what is more than its share, when the checks under way are recorded, and
takes what is free, up to its share. Whoever is still for too long is sent away, so that its
shards fall free.

What a checker holds, it holds for a few seconds from its last look on. So one that was
frozen, or cannot reach the database, begins nothing more before others may have its shards.
What it had begun, the fence at the log judges.

Who of the other checkers has stopped beating: frozen, or cut off with its host.

Pure: time is an argument. No clocks are compared: a checker is still when we looked again
and again, for long enough, and it said nothing new. Whoever did not look himself for a
while, because he was frozen or the database did not answer, has seen nothing and begins anew.

What the log says of the claims: changes, and what somebody has to mend.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import trio

from checker.fleet.claims import SHARDS, decide, shard_of
from store.ports.errors import STORE_UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from uuid import UUID

    from checker.fleet.claims import ShardWork
    from checker.runtime.metrics import CheckerMetrics
    from checker.schedule.wall_clock import SharedClock
    from store.ports.leases import FleetSession, FleetSnapshot, Leases


STILL_SECONDS: Final = 5.0
"""How long a checker may say nothing until its session is ended."""

ATTENTION_SECONDS: Final = 2.5
"""Who looks more seldom than this cannot say what happened between."""


class LivenessMonitor:
    """Remembers since when each of the others has said nothing new."""

    def __init__(self) -> None:
        self._looked = float("-inf")
        self._since: dict[int, tuple[int, float]] = {}

    def still(self, others: Iterable[FleetSession], now: float) -> list[FleetSession]:
        """Take in a look at the others; return those that are still for too long."""
        is_attentive = now - self._looked <= ATTENTION_SECONDS
        before = self._since if is_attentive else {}
        self._looked = now
        self._since = {}
        found = []
        for each in others:
            if not each.is_member and each.beat is None:
                continue  # no checker: nobody expects it to say anything
            beats, since = before.get(each.number, (each.beats, now))
            since = since if beats == each.beats else now
            self._since[each.number] = (each.beats, since)
            if now - since >= STILL_SECONDS:
                found.append(each)
        return found


log = logging.getLogger("postwatch.checker")

OFFSET_SECONDS: Final = 2.0
"""A host's clock that is so wrong is told."""

STRANGE_SECONDS: Final = 5.0
"""A checker that is leaving, or just starting, is no stranger for longer."""


class LeaseLog:
    """Says each thing once, when it changes."""

    def __init__(self, status: CheckerMetrics) -> None:
        self._metrics = status
        self._away_since: float | None = None
        self._said: tuple[int, int] | None = None
        self._strangers: dict[int, float] = {}
        self._told: set[int] = set()
        self._countries: frozenset[str] = frozenset()
        self._is_offset = False

    def away(self, error: Exception) -> None:
        """Tell that nothing is ours, because the database cannot be reached."""
        self._metrics.shards_held = 0
        if self._away_since is None:
            self._away_since = trio.current_time()
            log.warning("cannot claim monitors, so none are checked from here: %s", error)

    def back(self) -> None:
        """Tell that the database is there again."""
        if self._away_since is not None:
            seconds = trio.current_time() - self._away_since
            self._away_since = None
            log.warning("can claim monitors again after %.1f s", seconds)

    def standing(self, standing: FleetSnapshot, held: Collection[int]) -> None:
        """Tell what is ours, when that has changed, and what is wrong."""
        members = sum(each.is_member for each in standing.sessions)
        if (len(held), members) != self._said:
            self._said = (len(held), members)
            log.info(
                "%d of %d shards held; checkers that share them: %d", len(held), SHARDS, members
            )
        self._tell_strangers(standing)
        self._tell_countries(standing)
        self._tell_offset(self._metrics.clock_offset_seconds)

    def ended(self, session: FleetSession, *, has_ended: bool) -> None:
        """Tell that a checker that was still was sent away, or could not be."""
        holder = session.beat.holder if session.beat else "a checker that never said who it is"
        if has_ended:
            log.warning(
                "%s was still for too long; its session %d is ended, its %d shards are free",
                *(holder, session.number, len(session.shards)),
            )
        elif session.number not in self._told:
            self._told.add(session.number)
            log.error(
                "%s is still and keeps %d shards, but we lack the right to end its session %d; "
                "let all checkers log in to the database as the same role, or end it by hand: "
                "SELECT pg_terminate_backend(%d)",
                *(holder, len(session.shards), session.number, session.number),
            )

    def _tell_strangers(self, standing: FleetSnapshot) -> None:
        now = trio.current_time()
        strangers = [
            each
            for each in standing.sessions
            if each.shards and not each.is_member and not each.beat
        ]
        self._strangers = {each.number: self._strangers.get(each.number, now) for each in strangers}
        for each in strangers:
            if (
                now - self._strangers[each.number] >= STRANGE_SECONDS
                and each.number not in self._told
            ):
                self._told.add(each.number)
                log.error(
                    "session %d of the database holds shards %s of this location and is no "
                    "checker, so nobody checks their monitors; end it: "
                    "SELECT pg_terminate_backend(%d)",
                    *(each.number, ", ".join(map(str, sorted(each.shards))), each.number),
                )

    def _tell_countries(self, standing: FleetSnapshot) -> None:
        countries: dict[str, list[str]] = {}
        for beat in (each.beat for each in standing.sessions if each.beat):
            countries.setdefault(beat.country or "no country", []).append(beat.holder)
        if countries.keys() != self._countries and len(countries) > 1:
            said = (f"{each} ({', '.join(sorted(countries[each]))})" for each in sorted(countries))
            log.error(
                "the checkers of this location do not agree where it is: %s; start all of "
                "them with the same --country, or POSTWATCH_COUNTRY",
                "; ".join(said),
            )
        elif len(countries) == 1 and len(self._countries) > 1:
            log.warning("the checkers of this location agree again: %s", *countries)
        self._countries = frozenset(countries)

    def _tell_offset(self, seconds: float) -> None:
        is_offset = abs(seconds) > OFFSET_SECONDS
        if is_offset and not self._is_offset:
            log.warning(
                "the clock of this host is %.1f s %s that of the database, which due times "
                "follow; let both be set by NTP",
                *(abs(seconds), "ahead of" if seconds > 0 else "behind"),
            )
        self._is_offset = is_offset


LOOK_SECONDS: Final = 1.0
HANDOVER_SECONDS: Final = 0.1
"""Between two looks whether the checks of a shard that is given up are recorded."""

LEASE_SECONDS: Final = 4.0
"""How long a look is good for: less than the others wait for a checker that is still."""

RELEASE_SECONDS: Final = 5.0
"""How long a shard that is given up waits for its checks under way. The fence does not need
it; it saves servers from being asked twice."""

Call = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs what blocks, off the loop."""


async def in_thread(work: Callable[[], Any]) -> Any:  # noqa: ANN401 - returns what the work returns
    """Run what blocks in a thread; a cancellation does not wait for it."""
    return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


class LeasedClaims:
    """The claims of one checker among others."""

    def __init__(
        self, leases: Leases, clock: SharedClock, status: CheckerMetrics, call: Call = in_thread
    ) -> None:
        """Take the session, and the clock that is to be set by it."""
        self._leases = leases
        self._clock = clock
        self._metrics = status
        self._call = call
        self._session = 0
        self._held: set[int] = set()
        self._releasing: dict[int, float] = {}
        self._good_until = float("-inf")
        self._liveness = LivenessMonitor()
        self._report = LeaseLog(status)

    def holds(self, monitor_id: UUID) -> bool:
        """Return whether a monitor is ours now."""
        return shard_of(monitor_id) in self._held and trio.current_time() < self._good_until

    async def keep(
        self,
        work: ShardWork,
        leaving: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Claim shards and tell the work, until `leaving` is set; then give all of them up."""
        has_started = False
        while not leaving.is_set():
            if await self._try(self._turn, work) and not has_started:
                has_started = True
                task_status.started()
            pause = HANDOVER_SECONDS if self._releasing else LOOK_SECONDS
            with trio.move_on_after(pause):
                await leaving.wait()
        await self._try(self._leave, work)

    async def _try(self, step: Callable[[ShardWork], Awaitable[None]], work: ShardWork) -> bool:
        """Take a step; without the database nothing is ours any more."""
        try:
            await step(work)
        except STORE_UNAVAILABLE as error:
            self._report.away(error)
            await self._lose(work, set(self._held))
            self._releasing.clear()
            return False
        self._report.back()
        return True

    async def _turn(self, work: ShardWork) -> None:
        if self._releasing and trio.current_time() < self._good_until - LEASE_SECONDS / 2:
            await self._release(work)
            return
        standing = await self._look(work)
        await self._keep_up(standing, work)
        await self._rebalance(standing, work)
        await self._release(work)
        await self._evict(standing)
        self._metrics.shards_held = len(self._held)
        self._report.standing(standing, self._held)

    async def _look(self, work: ShardWork) -> FleetSnapshot:
        began, sent, beat = trio.current_time(), self._clock.monotonic(), work.beat()
        standing: FleetSnapshot = await self._call(lambda: self._leases.look(beat))
        self._clock.note(standing.time, sent, self._clock.monotonic())
        self._metrics.clock_offset_seconds = self._clock.host_offset_seconds
        if began > self._good_until or standing.session != self._session:
            # Nobody knows what happened meanwhile: begin anew with what is still ours.
            await self._lose(work, set(self._held))
        if standing.session != self._session:
            self._releasing.clear()
        self._session = standing.session
        self._good_until = began + LEASE_SECONDS
        return standing

    async def _keep_up(self, standing: FleetSnapshot, work: ShardWork) -> None:
        """Follow what the database says is ours."""
        ours = standing.shards_of(self._session)
        await self._lose(work, self._held - ours)
        await self._gain(work, ours - self._held - self._releasing.keys())

    async def _rebalance(self, standing: FleetSnapshot, work: ShardWork) -> None:
        members = {each.number: each.shards for each in standing.sessions if each.is_member}
        others = [each.shards for each in standing.sessions if not each.is_member]
        decision = decide(members, frozenset().union(*others), self._session)
        give = max(decision.give - len(self._releasing), 0)
        surplus = set(sorted(self._held)[len(self._held) - give :])
        await self._lose(work, surplus)
        now = trio.current_time()
        self._releasing.update(dict.fromkeys(surplus, now + RELEASE_SECONDS))
        if decision.take:
            taken = await self._call(lambda: self._leases.take(decision.take))
            await self._gain(work, taken)

    async def _release(self, work: ShardWork) -> None:
        now = trio.current_time()
        done = [
            shard
            for shard, until in self._releasing.items()
            if until <= now or work.has_settled(shard)
        ]
        if done:
            await self._call(lambda: self._leases.give(done))
            for shard in done:
                del self._releasing[shard]

    async def _evict(self, standing: FleetSnapshot) -> None:
        others = [each for each in standing.sessions if each.number != self._session]
        for each in self._liveness.still(others, trio.current_time()):
            await self._end(each)

    async def _end(self, session: FleetSession) -> None:
        has_ended = await self._call(lambda: self._leases.end(session.number))
        self._report.ended(session, has_ended=has_ended)

    async def _leave(self, work: ShardWork) -> None:
        """Give up all shards, each when its checks under way are recorded."""
        if not self._session:
            return
        await self._call(self._leases.leave)
        until = trio.current_time() + RELEASE_SECONDS
        self._releasing.update(dict.fromkeys(self._held, until))
        await self._lose(work, set(self._held))
        while self._releasing:
            await self._release(work)
            await trio.sleep(HANDOVER_SECONDS)

    async def _gain(self, work: ShardWork, shards: Collection[int]) -> None:
        if shards:
            self._held |= set(shards)
            await work.gained(shards)

    async def _lose(self, work: ShardWork, shards: Collection[int]) -> None:
        if shards:
            self._held -= set(shards)
            await work.lost(shards)
