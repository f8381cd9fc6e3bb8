"""Claims by leases: several checkers of a location share its shards.

About once a second a checker says that it lives, and looks who else does and what they
hold. It gives up what is more than its share, when the checks under way are recorded, and
takes what is free, up to its share. Whoever is still for too long is sent away, so that its
shards fall free.

What a checker holds, it holds for a few seconds from its last look on. So one that was
frozen, or cannot reach the database, begins nothing more before others may have its shards.
What it had begun, the fence at the log judges.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import trio

from checker.reporting import LeaseReport
from checker.sharding import decide, shard_of
from checker.stillness import Stillness
from domain.storage.failures import STORE_AWAY

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from checker.claims import Work
    from checker.shared_clock import SharedClock
    from checker.status import Status
    from domain.storage.leases import Leases, Session, Standing

log = logging.getLogger("postwatch.checker")

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
        self, leases: Leases, clock: SharedClock, status: Status, call: Call = in_thread
    ) -> None:
        """Take the session, and the clock that is to be set by it."""
        self._leases = leases
        self._clock = clock
        self._status = status
        self._call = call
        self._session = 0
        self._held: set[int] = set()
        self._releasing: dict[int, float] = {}
        self._good_until = float("-inf")
        self._stillness = Stillness()
        self._report = LeaseReport(status)

    def holds(self, monitor_id: UUID) -> bool:
        """Return whether a monitor is ours now."""
        return shard_of(monitor_id) in self._held and trio.current_time() < self._good_until

    async def keep(
        self,
        work: Work,
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

    async def _try(self, step: Callable[[Work], Awaitable[None]], work: Work) -> bool:
        """Take a step; without the database nothing is ours any more."""
        try:
            await step(work)
        except STORE_AWAY as error:
            self._report.away(error)
            await self._lose(work, set(self._held))
            self._releasing.clear()
            return False
        self._report.back()
        return True

    async def _turn(self, work: Work) -> None:
        if self._releasing and trio.current_time() < self._good_until - LEASE_SECONDS / 2:
            await self._release(work)
            return
        standing = await self._look(work)
        await self._keep_up(standing, work)
        await self._rebalance(standing, work)
        await self._release(work)
        await self._send_away(standing)
        self._status.shards_held = len(self._held)
        self._report.standing(standing, self._held)

    async def _look(self, work: Work) -> Standing:
        began, sent, beat = trio.current_time(), self._clock.monotonic(), work.beat()
        standing: Standing = await self._call(lambda: self._leases.look(beat))
        self._clock.note(standing.time, sent, self._clock.monotonic())
        self._status.clock_offset_seconds = self._clock.host_offset_seconds
        if began > self._good_until or standing.session != self._session:
            # Nobody knows what happened meanwhile: begin anew with what is still ours.
            await self._lose(work, set(self._held))
        if standing.session != self._session:
            self._releasing.clear()
        self._session = standing.session
        self._good_until = began + LEASE_SECONDS
        return standing

    async def _keep_up(self, standing: Standing, work: Work) -> None:
        """Follow what the database says is ours."""
        ours = standing.shards_of(self._session)
        await self._lose(work, self._held - ours)
        await self._gain(work, ours - self._held - self._releasing.keys())

    async def _rebalance(self, standing: Standing, work: Work) -> None:
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

    async def _release(self, work: Work) -> None:
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

    async def _send_away(self, standing: Standing) -> None:
        others = [each for each in standing.sessions if each.number != self._session]
        for each in self._stillness.still(others, trio.current_time()):
            await self._end(each)

    async def _end(self, session: Session) -> None:
        has_ended = await self._call(lambda: self._leases.end(session.number))
        self._report.ended(session, has_ended=has_ended)

    async def _leave(self, work: Work) -> None:
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

    async def _gain(self, work: Work, shards: Collection[int]) -> None:
        if shards:
            self._held |= set(shards)
            await work.gained(shards)

    async def _lose(self, work: Work, shards: Collection[int]) -> None:
        if shards:
            self._held -= set(shards)
            await work.lost(shards)
