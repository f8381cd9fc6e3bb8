"""Interface of an engine: SQLite files in a data folder, or a PostgreSQL database.

An engine makes the parts of a store; `Store` puts them together. Making an engine opens
nothing, so a process may fork afterwards. `Database` holds the URLs of a PostgreSQL database.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from store.proof.leaf import EventRows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.application import Turn
    from store.keys.key_ring import KeyStore
    from store.ports.leases import FleetRow, Leases
    from store.ports.locks import Locks
    from store.proof.tiles import TileStore
    from store.proof.tree_heads import HeadStore


LOGS: Final = ("monitoring", "checks", "incidents")
"""The logs of a store. A new one is an entry here, and a migration of the schema."""

PARTS: Final = (*LOGS, "keys")
"""The parts of a store that cannot be made again from others."""

OLD_PARTS: Final = frozenset({"monitoring", "checks", "keys"})
"""The parts of a store without a manifest: an earlier version made it."""

TRACKING_LOGS: Final = frozenset({"incidents"})
"""Logs that also hold how far they follow others."""


class StoredRows(EventRows):
    """The raw rows of one log, without archived ones."""

    @abstractmethod
    def position_of(self, stream: UUID, version: int) -> int | None:
        """Return the position of an event by stream and version; None when it is not in the log."""


class ChangeSignal(ABC):
    """Tells whether a log may have grown. A call costs microseconds."""

    @abstractmethod
    def changed(self) -> bool:
        """Return whether there may be something new since the last call; True on the first."""

    @abstractmethod
    def close(self) -> None:
        """Stop listening."""


class SegmentStore(ABC):
    """Segments of archived checks: written once, durably, and never changed."""

    @abstractmethod
    def place(self, first: int, last: int) -> str:
        """Return, for people, the file or row of the segment of these positions."""

    @abstractmethod
    def write(self, first: int, last: int, data: bytes) -> None:
        """Write a segment; it is durable when this returns.

        Raises ArchiveError when the disk is full, say; nothing is left then.
        """

    @abstractmethod
    def read(self, first: int, last: int) -> bytes:
        """Return the bytes of a segment. Raises ArchiveError."""

    @abstractmethod
    def size_of(self, first: int, last: int) -> int | None:
        """Return the bytes of a segment; None when it is missing."""

    @abstractmethod
    def size(self) -> int:
        """Return the bytes of all segments."""

    @abstractmethod
    def remove_unfinished(self) -> None:
        """Remove what a killed process left half written."""


class Engine(ABC):
    """Makes the parts of one store. Close it after all of them."""

    locks: Locks
    segments: SegmentStore
    has_fleet: bool
    """Whether several checkers of a location share its monitors, by leases."""

    @abstractmethod
    def prepare_store(self) -> None:
        """Prepare for a store that its first start makes. Raises StoreError."""

    @abstractmethod
    def require_store(self) -> None:
        """Raise StoreError unless there is a store, in the form that this version uses."""

    @abstractmethod
    def note_parts(self) -> None:
        """Note that the store has every part now, so that a lost one is noticed.

        Called when all parts are open. Raises StoreError.
        """

    @abstractmethod
    def environment(self, log: str, *, create: bool) -> dict[str, str]:
        """Return the settings with which the event store's library opens a log."""

    @abstractmethod
    def rows(self, log: str) -> StoredRows:
        """Return the raw rows of a log."""

    @abstractmethod
    def prune(self, position: int, through: int) -> int:
        """Delete checks after a position from their log, up to `through`; return how many.

        Only for archived checks. The newest check of each stream stays.
        """

    @abstractmethod
    def log_bytes(self, log: str) -> int:
        """Return how much space a log takes on disk, without archived checks."""

    @abstractmethod
    def signal(self, log: str) -> ChangeSignal:
        """Return a signal that tells when events were appended to a log."""

    @abstractmethod
    def keys(self, *, create: bool) -> KeyStore:
        """Return the store of the wrapped data keys."""

    @abstractmethod
    def tiles(self, log: str) -> TileStore:
        """Return the store of a log's Merkle tree, made if it is missing."""

    @abstractmethod
    def heads(self, log: str) -> HeadStore:
        """Return the store of a log's signed heads."""

    @abstractmethod
    def turn(self, name: str) -> Turn:
        """Return the turns of the writers of a log, for engines whose own queue is slow."""

    @abstractmethod
    def check_writable(self) -> None:
        """Raise PersistenceError unless the `monitoring` log can be written now."""

    @abstractmethod
    def leases(self, location: str, number: int) -> Leases | None:
        """Return the leases by which the checkers of a location share its monitors.

        `location` is the code of the location, `number` its number. None without a fleet.
        """

    @abstractmethod
    def fleet(self) -> Sequence[FleetRow]:
        """Return the checkers that share monitors with others now."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""


# Matches what libpq reads as it was meant: libpq has no fragment ("#") and allows a "?" in a
# password. A password with "@" or "/" would make libpq take a part of it for the host, and
# hosts are shown; such a URL does not match.
_URL: Final = re.compile(
    r"postgres(?:ql)?://"
    r"(?:(?:[^@/%\s]|%[0-9A-Fa-f]{2})*@)?"
    r"(?P<place>"
    r"(?:(?:\[[0-9A-Fa-f:.%]+\]|[^][@/?:,\s]*)(?::\d*)?(?:,|(?=[/?]|$)))*"
    r"(?:/[^@/?\s]*)?"
    r")"
    r"(?:\?(?:[^=&\s]+=[^=&\s]*(?:&|$))*)?"
)


@dataclass(frozen=True, slots=True)
class Database:
    """How to reach the primary, and a replica for reads where there is one.

    Both are URLs as libpq takes them, each with one host or several, comma-separated. They
    hold passwords and are never shown: `place` is what people see.
    """

    url: str = field(repr=False)
    read_url: str | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """The hosts and the name of the database, without user and password."""
        return place_of(self.url)


def place_of(url: str) -> str:
    """Return what may be shown of the URL of a database: hosts and name."""
    match = _URL.fullmatch(url)
    place = match["place"] if match else "of POSTWATCH_DATABASE_URL"
    return f"the database {place.removeprefix('/')}".rstrip()


def check_url(url: str) -> str:
    """Return a URL that libpq reads unambiguously. Raises ValueError, whose text omits the URL."""
    if not _URL.fullmatch(url):
        raise ValueError(
            "must be a URL such as postgresql://user:password@host:5432/postwatch; in user and "
            "password write %40 for @, %2F for /, %3A for :, %25 for %"
        )
    return url
