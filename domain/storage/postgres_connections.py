"""Connections to PostgreSQL that the threads of a process share, and what their errors mean.

Whoever meets a database that is away is told so within seconds, as an error of
`STORE_AWAY`: nothing waits for it here, and nothing is sent a second time behind the
caller's back.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg
from eventsourcing import persistence
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from domain.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.rows import RowFactory

    Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS: Final = 2
"""How long a host may take to answer before the next one is tried, or we give up."""

POOL_SECONDS: Final = 3.0
"""How long a caller waits for a connection."""

CONNECTIONS: Final = 8
"""Connections that the threads of a process may have in one pool. Few ever need so many."""

_DEFAULTS: Final = {
    "connect_timeout": str(CONNECT_SECONDS),
    # A host that vanished is noticed within seconds, and not within hours.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    # Whoever waits longer for another writer is told that the store is away.
    "options": "-c lock_timeout=10s",
}
_NAME_BYTES: Final = 63
"""PostgreSQL cuts off longer names of applications."""

_ERRORS: Final = (
    # We were frozen in the middle of a transaction, and the server did not wait for us.
    (psycopg.errors.IdleInTransactionSessionTimeout, persistence.OperationalError),
    (psycopg.InterfaceError, persistence.InterfaceError),
    (psycopg.OperationalError, persistence.OperationalError),
    (psycopg.DataError, persistence.DataError),
    (psycopg.IntegrityError, persistence.IntegrityError),
    (psycopg.InternalError, persistence.InternalError),
    (psycopg.ProgrammingError, persistence.ProgrammingError),
    (psycopg.NotSupportedError, persistence.NotSupportedError),
    (psycopg.DatabaseError, persistence.DatabaseError),
)


def conninfo_of(url: str, *, part: str, writes: bool = True) -> str:
    """Return how to connect to a URL; `part` says in the server's lists what for.

    Of several hosts the one that can be written to is taken. What the URL says itself
    stands. Raises StoreError when it is no URL that libpq can read.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The text of the error may hold the password.
        raise StoreError(
            "POSTWATCH_DATABASE_URL cannot be read; it must be a URL such as "
            "postgresql://user:password@host:5432/postwatch"
        ) from None
    defaults = {**_DEFAULTS, "application_name": application_name(part)}
    if writes:
        defaults["target_session_attrs"] = "read-write"
    return make_conninfo("", **{**defaults, **given})


def application_name(part: str) -> str:
    """Return the name under which the server lists us: the part, the host, the process."""
    end = f" {os.getpid()}"
    start = f"postwatch {part} {socket.gethostname()}".encode("ascii", "replace")
    return start[: _NAME_BYTES - len(end)].decode() + end


class Connections:
    """A pool. Nothing is open before the first use, so a process may fork until then."""

    def __init__(
        self,
        url: str,
        part: str,
        *,
        writes: bool = True,
        row_factory: RowFactory[Any] = tuple_row,
    ) -> None:
        """Take `part`, which says in the server's lists what the connections are for."""
        self._conninfo = conninfo_of(url, part=part, writes=writes)
        self.pool: ConnectionPool[Connection] = ConnectionPool(
            self._conninfo,
            kwargs={"autocommit": True, "row_factory": row_factory},
            min_size=0,
            max_size=CONNECTIONS,
            timeout=POOL_SECONDS,
            # Each caller that finds no connection has one tried; no one else keeps trying.
            reconnect_timeout=POOL_SECONDS / 2,
            num_workers=1,
            check=_require_open,
            configure=_configure if writes else None,
            open=False,
        )

    @contextmanager
    def get(self) -> Iterator[Connection]:
        """Lend a connection in autocommit mode.

        Raises errors of the event store's own kinds: OperationalError and InterfaceError
        when the database is away.
        """
        with told():
            self.pool.open()
            with self.pool.connection() as connection:
                yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Lend a connection in a transaction, which ends with the block: with all or nothing."""
        with self.get() as connection, connection.transaction():
            yield connection

    @contextmanager
    def own(self) -> Iterator[Connection]:
        """Open a connection for this block alone, and close it: for what lives in a session."""
        with told(), psycopg.connect(self._conninfo, autocommit=True) as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.pool.close()


@contextmanager
def told() -> Iterator[None]:
    """Turn the driver's errors into the event store's."""
    try:
        yield
    except psycopg.Error as error:
        for theirs, ours in _ERRORS:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
        raise persistence.PersistenceError(str(error)) from error


def _require_open(connection: Connection) -> None:
    """Raise when the server has closed an idle connection: then there is something to read.

    Without asking the server, which would take as long as the query itself. A notice that
    came meanwhile looks the same, and costs a new connection.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise psycopg.OperationalError("the server has closed the connection")


def _configure(connection: Connection) -> None:
    """See to it that a commit is on disk when it returns, whatever the server's default."""
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )
