"""Where a PostgreSQL database is that holds a store, instead of a data folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

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
