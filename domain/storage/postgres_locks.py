"""Locks among all processes of a database: advisory locks, each in a session of its own.

A lock ends with its session, and that ends with the process, or when the connection
breaks. Whoever holds one for long asks now and then whether it still does.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final
from zlib import crc32

from eventsourcing.persistence import InterfaceError, OperationalError

from domain.clock import iso_milliseconds
from domain.errors import StoreError
from domain.storage.locks import HeldError, Holder, Locks
from domain.storage.postgres_connections import Connections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.storage.database import Database
    from domain.storage.postgres_connections import Connection

NAMED: Final = 0x70770001
"""The first half of the key of every lock that has a name."""

_LOOK_SECONDS: Final = 0.1
_TRY: Final = "SELECT pg_try_advisory_lock(%s, %s)"
_HOLDER: Final = """
SELECT activity.application_name, activity.backend_start
FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND held.classid = %s::bigint::oid AND held.objid = %s::bigint::oid
"""
_NAME: Final = re.compile(r"postwatch \S+ (?P<host>\S+) (?P<pid>\d+)")


class PostgresLocks(Locks):
    """Locks of a database."""

    def __init__(self, database: Database, connections: Connections) -> None:
        self.place = database.place
        self._database = database
        self._connections = connections

    @contextmanager
    def hold(self, name: str, *, wait_seconds: float = 0) -> Iterator[None]:
        """Hold a lock while the block runs. Raises HeldError, StoreError."""
        with ExitStack() as stack:
            try:
                session = stack.enter_context(Connections(self._database.url, name).own())
                self._acquire(session, name, time.monotonic() + wait_seconds)
            except (InterfaceError, OperationalError) as error:
                away = f"{self.place} does not answer, so {name} cannot be alone"
                raise StoreError(away) from error
            # What the block raises is its own.
            yield

    def holder(self, name: str) -> Holder | None:
        """Return who holds a lock now; None when nobody does."""
        with self._connections.get() as connection:
            row = connection.execute(_HOLDER, (NAMED, _number(name))).fetchone()
        if row is None:
            return None
        found = _NAME.fullmatch(row[0])
        since = iso_milliseconds(row[1])
        return Holder(int(found["pid"]), since, found["host"]) if found else Holder(None, since)

    def _acquire(self, session: Connection, name: str, deadline: float) -> None:
        while True:
            ((is_ours,),) = session.execute(_TRY, (_signed(NAMED), _signed(_number(name))))
            if is_ours:
                return
            if time.monotonic() >= deadline:
                raise HeldError(self.holder(name) or Holder(None, None))
            time.sleep(_LOOK_SECONDS)


def _number(name: str) -> int:
    """Return the second half of the key of a lock: 32 bits, as the server shows them."""
    return crc32(name.encode())


def _signed(number: int) -> int:
    """Return 32 bits as the server takes them."""
    return number - (1 << 32) if number >= 1 << 31 else number
