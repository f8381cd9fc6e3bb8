"""Leases without a database: what all checkers of a test see, and each one's session."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from eventsourcing.persistence import OperationalError

from store.ports.leases import FleetSession, FleetSnapshot, Heartbeat, Leases

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


@dataclass
class LeaseTable:
    """What a database would hold for one location. `clock` is its clock."""

    clock: Callable[[], float]
    sessions: dict[int, FleetSession] = field(default_factory=dict)
    is_away: bool = False
    looks: int = 0
    numbers: count[int] = field(default_factory=lambda: count(1))

    def holder(self, shard: int) -> int | None:
        """Return the session that holds a shard."""
        return next((key for key, each in self.sessions.items() if shard in each.shards), None)

    def end(self, number: int) -> None:
        """End a session, and with it its locks."""
        self.sessions.pop(number, None)


class MemoryLeases(Leases):
    """One session at a time in a table."""

    def __init__(self, table: LeaseTable) -> None:
        self.table = table
        self.number: int | None = None

    def look(self, beat: Heartbeat) -> FleetSnapshot:
        if self.number is None and not self.table.is_away:
            self.number = next(self.table.numbers)
            self.table.sessions[self.number] = FleetSession(
                self.number, frozenset(), is_member=True
            )
        ours = self._ours()
        self.table.looks += 1
        self._set(replace(ours, beats=ours.beats + 1, beat=beat))
        others = [each for each in self.table.sessions.values() if each.shards or each.is_member]
        return FleetSnapshot(ours.number, self.table.clock(), tuple(others))

    def take(self, shards: Collection[int]) -> frozenset[int]:
        ours = self._ours()
        free = frozenset(each for each in shards if self.table.holder(each) is None)
        self._set(replace(ours, shards=ours.shards | free))
        return free

    def give(self, shards: Collection[int]) -> None:
        ours = self._ours()
        self._set(replace(ours, shards=ours.shards - frozenset(shards)))

    def leave(self) -> None:
        self._set(replace(self._ours(), is_member=False))

    def end(self, session: int) -> bool:
        self._ours()
        self.table.end(session)
        return True

    def close(self) -> None:
        if self.number is not None:
            self.table.end(self.number)
            self.number = None

    def _ours(self) -> FleetSession:
        ours = self.table.sessions.get(self.number or 0)
        if ours is None or self.table.is_away:
            self.close()
            raise OperationalError("the session is gone")
        return ours

    def _set(self, session: FleetSession) -> None:
        self.table.sessions[session.number] = session
