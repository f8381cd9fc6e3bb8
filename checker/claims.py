"""The port to claims: which of the location's shards this checker holds now.

Whoever holds a shard checks its monitors. Alone in its location a checker holds all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import trio

from checker.sharding import ALL

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from domain.storage.leases import Beat


class Work(Protocol):
    """What follows the claims: the checking of the monitors of shards."""

    def beat(self) -> Beat:
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
        work: Work,
        leaving: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Claim shards and tell the work, until `leaving` is set; then give all of them up.

        Has started when the first shards are claimed.
        """


class Everything:
    """The claims of a checker that is alone in its location, as a lock sees to."""

    def holds(self, monitor_id: UUID) -> bool:
        """Return True."""
        del monitor_id
        return True

    async def keep(
        self,
        work: Work,
        leaving: trio.Event,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Hold all shards until the checker ends."""
        await work.gained(ALL)
        task_status.started()
        await leaving.wait()
