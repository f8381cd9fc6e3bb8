"""Interface of leases: how several checkers of one location share its monitors.

A checker has one session. It holds leases (locks) on shards of the monitors, which are mere
numbers here; they end with the session, however that ends. Beside them each checker keeps
its newest heartbeat. No event depends on any of this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a checker reports. `clock_offset_seconds`: how far its host's clock is ahead."""

    holder: str
    country: str | None = None
    lag_seconds: float = 0.0
    checks_per_second: float = 0.0
    clock_offset_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FleetSession:
    """A session that holds locks of a location.

    `is_member`: the session is a checker that takes shards; a checker that is stopping is no
    member. `beats` counts the heartbeats of the session, and `beat` is the newest one. `beat`
    is None when the session sent no heartbeat, so it does not belong to a checker.
    """

    number: int
    shards: frozenset[int]
    is_member: bool
    beats: int = 0
    beat: Heartbeat | None = None


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """The result of `look`: this checker's session, the database's clock, all sessions with locks.

    `time` is in seconds since 1970.
    """

    session: int
    time: float
    sessions: tuple[FleetSession, ...]

    def shards_of(self, number: int) -> frozenset[int]:
        """Return the shards that a session holds."""
        return next((each.shards for each in self.sessions if each.number == number), frozenset())


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A session of any location as `postwatch fleet` shows it.

    `age_seconds` is the age of its newest heartbeat; None, like `location`, without one.
    """

    location_number: int
    location: str | None
    session: FleetSession
    application: str | None
    age_seconds: float | None


class Leases(ABC):
    """The session of one checker of one location.

    All methods raise an error of STORE_UNAVAILABLE when the session is lost, and with it all
    of its locks; the next `look` then begins another one. Not safe for threads.
    """

    @abstractmethod
    def look(self, beat: Heartbeat) -> FleetSnapshot:
        """Send a heartbeat as a member, and return the sessions of the location."""

    @abstractmethod
    def take(self, shards: Collection[int]) -> frozenset[int]:
        """Lock those of some shards that no session holds; return them."""

    @abstractmethod
    def give(self, shards: Collection[int]) -> None:
        """Unlock some shards of this session."""

    @abstractmethod
    def leave(self) -> None:
        """Stop being a member. The locks stay until they are given back."""

    @abstractmethod
    def end(self, session: int) -> bool:
        """End the session of another checker; return False when this role may not."""

    @abstractmethod
    def close(self) -> None:
        """End this checker's own session."""
