"""The port to whatever keeps a store: files of SQLite, or a PostgreSQL database.

An engine hands out the parts; what they mean, `Store` knows. Making an engine opens
nothing that a fork could not take.

Where a PostgreSQL database is that holds a store, instead of a data folder.
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


LOGS: Final = ("monitoring", "checks")
"""The logs of a store."""


class StoredRows(EventRows):
    """The rows of one log that stand in the log itself."""

    @abstractmethod
    def position_of(self, stream: UUID, version: int) -> int | None:
        """Return where the event of a version in a stream stands; None when it does not."""


class ChangeSignal(ABC):
    """Tells whether a log may have grown. Asking costs microseconds."""

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
        """Return, for people, where the segment of these positions stands."""

    @abstractmethod
    def write(self, first: int, last: int, data: bytes) -> None:
        """Write a segment; it is durable when this returns.

        Raises ArchiveError when there is no room, say; nothing is left then.
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
        """Remove what a killed process was just writing."""


class Engine(ABC):
    """Hands out the parts of one store. Close it when all of them are closed."""

    locks: Locks
    segments: SegmentStore
    has_fleet: bool
    """Whether several checkers of a location share its monitors, by leases."""

    @abstractmethod
    def prepare_store(self) -> None:
        """Make ready for a store that is made by its first start. Raises StoreError."""

    @abstractmethod
    def require_store(self) -> None:
        """Raise StoreError unless there is a store, in the form that this version uses."""

    @abstractmethod
    def environment(self, log: str, *, create: bool) -> dict[str, str]:
        """Return the event store's own settings for a log."""

    @abstractmethod
    def rows(self, log: str) -> StoredRows:
        """Return the rows of a log as they are stored."""

    @abstractmethod
    def prune(self, position: int, through: int) -> int:
        """Take checks behind a position out of their log, up to another; return how many.

        Never called for checks that are not archived. The newest of each stream stays.
        """

    @abstractmethod
    def signal(self, log: str) -> ChangeSignal:
        """Return what tells that somebody wrote to a log."""

    @abstractmethod
    def keys(self, *, create: bool) -> KeyStore:
        """Return where the wrapped data keys are."""

    @abstractmethod
    def tiles(self, log: str) -> TileStore:
        """Return where the tiles of a log's Merkle tree are, made if they are not there yet."""

    @abstractmethod
    def heads(self, log: str) -> HeadStore:
        """Return where the signed heads of a log are."""

    @abstractmethod
    def turn(self, name: str) -> Turn:
        """Return what lets one writer in after the other, where that is worth anything."""

    @abstractmethod
    def check_writable(self) -> None:
        """Raise PersistenceError unless the `monitoring` log can be written now."""

    @abstractmethod
    def leases(self, location: str, number: int) -> Leases | None:
        """Return what the checkers of a location, by code and number, share its monitors by.

        None where there is no fleet.
        """

    @abstractmethod
    def fleet(self) -> Sequence[FleetRow]:
        """Return all who share monitors with others now."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is open."""


# Read as libpq reads it, which knows no "#" and lets a "?" stand in a password. What it would
# cut elsewhere than people mean, an "@" or "/" in a password, would be taken for a host, and
# hosts are shown.
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

    Both are URLs as libpq takes them; several hosts may stand in one, comma-separated.
    They hold passwords, so they are never shown: `place` is what people see.
    """

    url: str = field(repr=False)
    read_url: str | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """The hosts and the name of the database, without user and password."""
        return place_of(self.url)


def place_of(url: str) -> str:
    """Return what may be shown of a database's URL: hosts and name."""
    match = _URL.fullmatch(url)
    place = match["place"] if match else "of POSTWATCH_DATABASE_URL"
    return f"the database {place.removeprefix('/')}".rstrip()


def check_url(url: str) -> str:
    """Return a URL that libpq reads as people mean it. Raises ValueError, without it."""
    if not _URL.fullmatch(url):
        raise ValueError(
            "must be a URL such as postgresql://user:password@host:5432/postwatch; in user and "
            "password write %40 for @, %2F for /, %3A for :, %25 for %"
        )
    return url
