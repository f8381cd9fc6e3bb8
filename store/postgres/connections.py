"""Connections to PostgreSQL that the threads of a process share, and what their errors mean.

Whoever meets a database that is away is told so within seconds, as an error of
`STORE_UNAVAILABLE`: nothing waits for it here, and nothing is sent a second time behind the
caller's back. While it is away one caller at a time looks whether it is back; the others
are told at once.

Connections that the threads of a process lend from one another. Nothing runs beside them.

Whoever finds none connects, and so learns at once, and exactly, why that does not work.

One connection to PostgreSQL that does not wait for ever, and tells a commit in doubt.
"""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import contextmanager
from functools import cache
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakSet

import psycopg
from eventsourcing import persistence
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from domain.errors import StoreError
from store.ports.engine import place_of
from store.ports.errors import CircuitBreaker
from store.postgres.errors import InDoubtError, SilentError, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg.abc import PQGen
    from psycopg.errors import Diagnostic
    from psycopg.rows import RowFactory

    Connection = psycopg.Connection[tuple[Any, ...]]


WAIT_SECONDS: Final = 3.0
"""How long a caller waits while all connections are lent."""

IDLE_SECONDS: Final = 600.0
"""How long a connection is kept that nobody needs."""


class Pool:
    """Up to `size` connections. The one that was used last is lent next."""

    def __init__(self, connect: Callable[[], TimedConnection], size: int) -> None:
        self._connect = connect
        self._size = size
        self._places = BoundedSemaphore(size)
        self._lock = Lock()
        self._idle: list[tuple[float, TimedConnection]] = []
        self._is_closed = False
        self._has_connected = False
        self.reconnects = 0
        """How many times connections broke, or more were opened, which may lead to another server.

        Who grows a pool while a server is promoted meets the new one before any loss is known.
        """

    @contextmanager
    def lend(self) -> Iterator[TimedConnection]:
        """Lend a connection. One that is returned in the middle of something is closed."""
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise psycopg.errors.TooManyConnections(
                f"all {self._size} connections of this process are in use"
            )
        try:
            session = self._open_one() or self._connect_anew()
            try:
                yield session
            finally:
                self._take_back(session)
        finally:
            self._places.release()

    def forget(self) -> None:
        """Close all connections that are not lent: they are as dead as one that was."""
        with self._lock:
            self.reconnects += 1
            idle, self._idle = self._idle, []
        for _, session in idle:
            session.close()

    def close(self) -> None:
        """Close all connections, those that are lent when they come back."""
        with self._lock:
            self._is_closed = True
        self.forget()

    def _open_one(self) -> TimedConnection | None:
        """Return a connection that the server has not closed meanwhile, if there is one."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                _, session = self._idle.pop()
            if _is_quiet(session):
                return session
            with self._lock:
                self.reconnects += 1
            session.close()

    def _connect_anew(self) -> TimedConnection:
        """Connect. Where one was open before, another server may be the one that answers now."""
        session = self._connect()
        with self._lock:
            self.reconnects += self._has_connected
            self._has_connected = True
        return session

    def _take_back(self, session: TimedConnection) -> None:
        tired = session
        is_whole = session.info.transaction_status == TransactionStatus.IDLE
        now = time.monotonic()
        with self._lock:
            self.reconnects += not is_whole
            if is_whole and not self._is_closed:
                self._idle.append((now, session))
                # The oldest stands first. One is enough: somebody comes back soon.
                if now - self._idle[0][0] < IDLE_SECONDS:
                    return
                tired = self._idle.pop(0)[1]
        tired.close()


def _is_quiet(session: TimedConnection) -> bool:
    """Return whether there is nothing to read: the last words of a server that went away.

    Without asking the server, which would take as long as the query itself. A notice that
    came meanwhile looks the same, and costs a new connection.
    """
    poll = select.poll()
    poll.register(session.fileno(), select.POLLIN)
    return not poll.poll(0)


T = TypeVar("T")

_WAITS_FOR_STANDBY = "SyncRepWaitForLSN"
"""The server's function that warns when a commit no longer waits for a standby."""


class TimedConnection(psycopg.Connection[Any]):
    """A connection whose every answer must come within some seconds, where that is set.

    The kernel of a frozen server still acknowledges what it is sent, and a primary whose
    synchronous standby is away lets every commit wait: only a clock notices either.
    """

    answer_seconds: float | None = None
    _is_in_doubt = False

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for an answer. Raises SilentError, with the connection closed, when none comes."""
        if timeout is not None or self.answer_seconds is None:
            return super().wait(gen, interval, timeout)
        deadline = time.monotonic() + self.answer_seconds
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.OperationalError as error:
            if time.monotonic() < deadline:
                raise
            # Whatever comes now would be taken for the answer to something else.
            self.pgconn.finish()
            raise SilentError(f"no answer within {self.answer_seconds:g} s") from error

    def watch_commits(self) -> None:
        """Remember when somebody has a commit not wait for its standby any more."""
        self.add_notice_handler(self._note)

    def begin_certain(self) -> None:
        """Forget what was in doubt before: whoever had this connection then has failed."""
        self._is_in_doubt = False

    def require_certain(self) -> None:
        """Raise InDoubtError if a commit since may not be where it would outlive the primary."""
        if self._is_in_doubt:
            raise InDoubtError("a commit was broken off while it waited for a synchronous standby")

    def _note(self, notice: Diagnostic) -> None:
        # Not by its words, which the server may say in any language.
        if notice.source_function == _WAITS_FOR_STANDBY:
            self._is_in_doubt = True


@contextmanager
def closed_on_failure(session: TimedConnection) -> Iterator[None]:
    """Close a new connection if it cannot be made ready in this block."""
    try:
        yield
    except BaseException:
        session.close()
        raise


CONNECT_SECONDS: Final = 2
"""How long a host may take to answer before the next one is tried, or we give up."""

ANSWER_SECONDS: Final = 10.0
"""How long the answer to what is short may take."""

LONG_SECONDS: Final = 3600.0
"""How long the answer may take to what goes through whole tables."""

CONNECTIONS: Final = 8
"""Connections that the threads of a process may have in one pool. Few ever need so many."""

_DEFAULTS: Final = {
    "connect_timeout": str(CONNECT_SECONDS),
    # A host that vanished is noticed within seconds, and not within hours.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
# Whoever waits longer for another writer is told that the store is away. A commit is on disk
# when it returns, whatever the server's default. A session may rest as long as it likes. By
# a statement, because a pooler between us and the server may know no options; what the
# server, the role or the URL has set otherwise stands.
_CONFIGURE: Final = """
SELECT
    set_config('lock_timeout', CASE waits WHEN '0' THEN '8s' ELSE waits END, false),
    set_config('synchronous_commit', CASE commits WHEN 'off' THEN 'on' ELSE commits END, false),
    set_config('idle_session_timeout', '0', false),
    set_config('default_transaction_isolation', 'read committed', false)
FROM (
    SELECT
        current_setting('lock_timeout') AS waits,
        current_setting('synchronous_commit') AS commits
) AS found
"""
_KNOWS_THESE: Final = 140000
"""The first version of the server that does."""

_NAME_BYTES: Final = 63
"""PostgreSQL cuts off longer names of applications."""

_DRIVER_ERRORS: Final = (
    (psycopg.DataError, persistence.DataError),
    (psycopg.IntegrityError, persistence.IntegrityError),
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
        answer_seconds: float | None = None,
    ) -> None:
        """Take `part`, which says in the server's lists what the connections are for.

        `answer_seconds` limits how long any answer may take; None: as long as it takes.
        """
        self._conninfo = conninfo_of(url, part=part, writes=writes)
        self.place = place_of(url)
        self._way = _way_to(url, writes)
        self._row_factory = row_factory
        self._answer_seconds = answer_seconds
        self._pool = Pool(self._connect, CONNECTIONS)
        self._way.add(self._pool)

    @contextmanager
    def get(self, *, answer_seconds: float | None = None) -> Iterator[Connection]:
        """Lend a connection in autocommit mode; `answer_seconds` is for this time only.

        Raises errors of the event store's own kinds: DatabaseUnavailableError when the database is
        away. A commit that is in doubt is told in the same way.
        """
        with translate_errors(self.place), self._pool.lend() as session:
            session.answer_seconds = answer_seconds or self._answer_seconds
            session.begin_certain()
            try:
                yield session
            except SilentError:
                # Who waits for a moment only has not found out that the server is gone.
                if (answer_seconds or ANSWER_SECONDS) >= (self._answer_seconds or ANSWER_SECONDS):
                    self.forget_all()
                raise
            session.require_certain()

    @contextmanager
    def transaction(self, *, answer_seconds: float | None = None) -> Iterator[Connection]:
        """Lend a connection in a transaction, which ends with the block: with all or nothing."""
        with self.get(answer_seconds=answer_seconds) as connection, connection.transaction():
            yield connection

    @property
    def reconnects(self) -> int:
        """How many times connections broke: since the last time another server may answer."""
        return self._pool.reconnects

    @contextmanager
    def own(self) -> Iterator[Connection]:
        """Open a connection for this block alone, and close it: for what lives in a session."""
        with translate_errors(self.place):
            session = self._connect()
            try:
                yield session
            finally:
                # Not the driver's own way, which commits: a lost session has nothing to commit.
                session.close()

    def forget_all(self) -> None:
        """Take all connections that lead where these do to be dead."""
        self._way.forget()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _connect(self) -> TimedConnection:
        """Connect, unless somebody has just found out that this is of no use."""
        with self._way.circuit_breaker.attempt(), translate_errors(self.place):
            session = TimedConnection.connect(
                self._conninfo, autocommit=True, row_factory=self._row_factory
            )
            with closed_on_failure(session):
                session.answer_seconds = self._answer_seconds
                session.watch_commits()
                if session.info.server_version >= _KNOWS_THESE:
                    session.execute(_CONFIGURE)
            return session


class _Server:
    """What this process knows of a database, for all who go there in the same way."""

    def __init__(self, place: str) -> None:
        self.circuit_breaker = CircuitBreaker(f"{place} answers again")
        self._lock = Lock()
        self._pools: WeakSet[Pool] = WeakSet()

    def add(self, pool: Pool) -> None:
        """Let a pool hear of what others find out."""
        with self._lock:
            self._pools.add(pool)

    def forget(self) -> None:
        """Have all pools take their connections to be dead."""
        with self._lock:
            pools = list(self._pools)
        for pool in pools:
            pool.forget()


@contextmanager
def translate_errors(place: str) -> Iterator[None]:
    """Turn the driver's errors into the event store's; `place` says where, for people."""
    try:
        yield
    except psycopg.Error as error:
        meant = diagnose(error, place)
        if meant is not None:
            raise meant from error
        for theirs, ours in _DRIVER_ERRORS:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
        raise persistence.PersistenceError(str(error)) from error


_ONE_AT_A_TIME: Final = Lock()


def _way_to(url: str, writes: bool) -> _Server:  # noqa: FBT001 - what it goes by
    # Two that come at once would each get one of their own from the cache alone.
    with _ONE_AT_A_TIME:
        return _server_for(url, writes)


@cache
def _server_for(url: str, writes: bool) -> _Server:  # noqa: FBT001 - what it goes by
    del writes
    return _Server(place_of(url))
