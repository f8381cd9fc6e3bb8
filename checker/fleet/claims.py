"""The port to claims: which of the location's shards this checker holds now.

Whoever holds a shard checks its monitors. Alone in its location a checker holds all.

Which checker of a location gets which monitors: shards, and a fair share of them.

Pure. Each checker decides for itself from what it sees; that no two hold a shard is the
matter of the locks. All decide by the same rule, so they agree as soon as they see the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from zlib import crc32

import trio

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from store.ports.leases import Heartbeat


SHARDS: Final = 64
"""Shards of each location: so many checkers of one can have work. Never to be changed while
checkers run: two that count differently would both hold a monitor."""

ALL: Final = frozenset(range(SHARDS))


def shard_of(monitor_id: UUID) -> int:
    """Return the shard of a monitor, the same in every process and version."""
    return crc32(monitor_id.bytes) % SHARDS


class Decision(NamedTuple):
    """How many shards to give up, and which ones to try to take."""

    give: int
    take: frozenset[int]


def decide(members: Mapping[int, frozenset[int]], elsewhere: frozenset[int], me: int) -> Decision:
    """Return what a member is to do, given what each member holds.

    `elsewhere` is held by others than members, and not to be had. Shares differ by one shard
    at most; whoever has the most keeps the larger ones, so that few shards move.
    """
    total = SHARDS - len(elsewhere)
    base, larger = divmod(total, len(members))
    order = sorted(members, key=lambda each: (-len(members[each]), each))
    free = sorted(ALL - elsewhere.union(*members.values()))
    for place, member in enumerate(order):
        lacking = base + (place < larger) - len(members[member])
        if member == me:
            return Decision(max(-lacking, 0), frozenset(free[: max(lacking, 0)]))
        free = free[max(lacking, 0) :]
    raise ValueError(f"{me} is no member")


class ShardWork(Protocol):
    """What follows the claims: the checking of the monitors of shards."""

    def beat(self) -> Heartbeat:
        """Return what is to be said of this checker."""

    async def gained(self, shards: Collection[int]) -> None:
        """Begin to check the monitors of some shards, and make up for what was missed."""

    async def lost(self, shards: Collection[int]) -> None:
        """Begin no more checks of their monitors."""

    def has_settled(self, shard: int) -> bool:
        """Return whether every check of a lost shard that had begun is recorded."""


class Claims(Protocol):
    """Holds shards."""

    def holds(self, monitor_id: UUID) -> bool:
        """Return whether a monitor is ours now. Costs next to nothing."""

    async def keep(
        self,
        work: ShardWork,
        leaving: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Claim shards and tell the work, until `leaving` is set; then give all of them up.

        Has started when the first shards are claimed.
        """


class AllShards:
    """The claims of a checker that is alone in its location, as a lock sees to."""

    def holds(self, monitor_id: UUID) -> bool:
        """Return True."""
        del monitor_id
        return True

    async def keep(
        self,
        work: ShardWork,
        leaving: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Hold all shards until the checker ends."""
        await work.gained(ALL)
        task_status.started()
        await leaving.wait()
