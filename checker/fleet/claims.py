"""Claims: which shards of its location a checker holds, and the rule for sharing them.

A location has a fixed number of shards, and each monitor belongs to one. A checker checks the
monitors of the shards that it holds. A checker that is alone in its location holds all.

Each checker decides for itself, by the same pure rule, from its latest snapshot of the fleet.
So the decisions agree as soon as the snapshots agree. Locks ensure that no two checkers hold
one shard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from zlib import crc32

import trio
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from uuid import UUID

    from store.ports.leases import Heartbeat


SHARDS: Final = 64
"""The shards of each location, and the most checkers of one that have work. All checkers must
use the same number: two with different numbers would both check a monitor."""

ALL: Final = frozenset(range(SHARDS))


def shard_of(monitor_id: UUID) -> int:
    """Return the shard of a monitor, the same in every process and version."""
    return crc32(monitor_id.bytes) % SHARDS


class Decision(NamedTuple):
    """How many shards to give up, and which ones to try to take."""

    give: int
    take: frozenset[int]


def decide(members: Mapping[int, frozenset[int]], elsewhere: frozenset[int], me: int) -> Decision:
    """Return what member `me` does next, given the shards that each member holds.

    `elsewhere` are shards that nobody can take, because sessions that are no members hold
    them. The shares of members differ by one shard at most. Members that hold the most get
    the larger shares, so that few shards move.
    """
    total = SHARDS - len(elsewhere)
    base, larger = divmod(total, len(members))
    order = sorted(members, key=lambda each: (-len(members[each]), each))
    free = sorted(ALL - elsewhere.union(*members.values()))
    for place, member in enumerate(order):
        missing = base + (place < larger) - len(members[member])
        if member == me:
            return Decision(max(-missing, 0), frozenset(free[: max(missing, 0)]))
        free = free[max(missing, 0) :]
    raise ValueError(f"{me} is no member")


class ShardWork(Protocol):
    """Checks the monitors of the shards that a checker holds."""

    async def start(self, shards: Collection[int], absent_since: float | None) -> None:
        """Begin to check the monitors of shards, and catch up on missed checks.

        `absent_since`: since when no checker checked them, in monotonic time; None: never.
        """

    async def stop(self, shards: Collection[int]) -> None:
        """Begin no more checks of the monitors of shards."""

    def is_drained(self, shard: int) -> bool:
        """Return whether every check of a stopped shard has ended and is recorded."""


class Claims(Protocol):
    """Holds shards for one checker."""

    def holds(self, monitor_id: UUID) -> bool:
        """Return whether the checker holds the shard of a monitor now. Takes microseconds."""

    async def keep(
        self,
        work: ShardWork,
        measure: Callable[[], Heartbeat],
        leaving: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Claim shards and start or stop their work, until `leaving` is set; then release all.

        `measure` returns what the checker reports of itself. Reports that it has started when
        it holds its first shards.
        """


class AllShards(Claims):
    """The claims of a checker that is alone in its location. A lock ensures that it is alone."""

    def __init__(self, absent_since: Callable[[], Awaitable[float | None]]) -> None:
        """`absent_since` returns since when no checker ran, in monotonic time; None: never."""
        self._absent_since = absent_since

    @override
    def holds(self, monitor_id: UUID) -> bool:
        del monitor_id
        return True

    @override
    async def keep(
        self,
        work: ShardWork,
        measure: Callable[[], Heartbeat],
        leaving: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        del measure
        await work.start(ALL, await self._absent_since())
        task_status.started()
        await leaving.wait()
