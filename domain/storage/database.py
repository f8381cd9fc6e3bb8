"""Where a PostgreSQL database is that holds a store, instead of a data folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

SCHEMES: Final = ("postgresql://", "postgres://")


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
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    return (
        f"the database {hosts}{parts.path}" if hosts else f"the database {parts.path.lstrip('/')}"
    )
