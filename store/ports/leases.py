"""The port to what several checkers of one location share its monitors by.

A checker has one session. Locks on shards, which are mere numbers here, belong to the
session and end with it, however it ends. Beside them stands what each checker last said
of itself: that it lives, above all. Nothing that is true depends on any of this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a checker says of itself. `clock_offset_seconds`: its host's clock is so far ahead."""

    holder: str
    country: str | None = None
    lag_seconds: float = 0.0
    checks_per_second: float = 0.0
    clock_offset_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class FleetSession:
    """Somebody who holds locks of a location.

    `is_member`: a checker that takes its share; one that is leaving takes none. `beats`
    counts what it said; `beat` is None for who never said anything, which no checker is.
    """

    number: int
    shards: frozenset[int]
    is_member: bool
    beats: int = 0
    beat: Heartbeat | None = None


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """What a look shows: our own session, the database's clock, and all who hold locks.

    `time` is in seconds since 1970.
    """

    session: int
    time: float
    sessions: tuple[FleetSession, ...]

    def shards_of(self, number: int) -> frozenset[int]:
        """Return what a session holds."""
        return next((each.shards for each in self.sessions if each.number == number), frozenset())


@dataclass(frozen=True, slots=True)
class FleetRow:
    """A session of any location as `postwatch fleet` shows it.

    `age_seconds` is how long ago it last said something; None, like `location`: never.
    """

    location_number: int
    location: str | None
    session: FleetSession
    application: str | None
    age_seconds: float | None


class Leases(ABC):
    """The session of one checker of one location.

    All methods raise an error of STORE_UNAVAILABLE when the session is lost, and with it all of its
    locks; the next look then begins another one. They are not for several threads at once.
    """

    @abstractmethod
    def look(self, beat: Heartbeat) -> FleetSnapshot:
        """Say that we live, as a member, and return how things stand."""

    @abstractmethod
    def take(self, shards: Collection[int]) -> frozenset[int]:
        """Lock those of some shards that nobody holds; return them."""

    @abstractmethod
    def give(self, shards: Collection[int]) -> None:
        """Unlock some of our shards."""

    @abstractmethod
    def leave(self) -> None:
        """Be no member any more. The locks stay until they are given."""

    @abstractmethod
    def end(self, session: int) -> bool:
        """End the session of another checker; return False when we lack the right."""

    @abstractmethod
    def close(self) -> None:
        """End our own session."""
