"""Connections to PostgreSQL that the threads of a process share, and what their errors mean.

A caller learns within seconds, as an error of `STORE_UNAVAILABLE`, that the database cannot
be used. Nothing waits for its return here, and nothing is sent a second time behind the
caller's back. A circuit breaker for each server lets one caller at a time find out whether
it is back; the others get the same error at once.

The pool has no thread of its own: a caller that finds no idle connection connects, and so
gets the exact reason when that fails. `psycopg_pool` connects in a thread of its own; its
callers wait for the whole timeout and get an error without the reason.
"""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakSet

import psycopg
from eventsourcing import persistence
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from typing_extensions import override

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


T = TypeVar("T")

CONNECT_SECONDS: Final = 2
"""How long a host may take to answer before the next one is tried, or we give up."""

ANSWER_SECONDS: Final = 10.0
"""How long the answer to a short statement may take."""

LONG_SECONDS: Final = 3600.0
"""How long the answer to a statement over whole tables may take."""

CONNECTIONS: Final = 8
"""Connections that the threads of a process may have in one pool. Few ever need so many."""

WAIT_SECONDS: Final = 3.0
"""How long a caller waits while all connections are lent."""

IDLE_SECONDS: Final = 600.0
"""How long an idle connection is kept."""

_NAME_BYTES: Final = 63
"""PostgreSQL cuts off longer application names."""

_DEFAULTS: Final = {
    "connect_timeout": str(CONNECT_SECONDS),
    # A host that vanished is noticed within seconds, and not within hours.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
# A writer that waits longer than `lock_timeout` for another one gets an error. A commit is on
# disk when it returns, whatever the server's default. A session may be idle for ever. These
# are set by a statement, because a pooler in front of the server may refuse options; another
# value set by the server, the role or the URL is kept.
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
_HAS_THESE_SETTINGS: Final = 140000
"""The first version of the server that has all of them."""

_WAITS_FOR_STANDBY: Final = "SyncRepWaitForLSN"
"""The server's function that warns when a commit no longer waits for a standby."""

_LIBRARY_ERRORS: Final = (
    (psycopg.DataError, persistence.DataError),
    (psycopg.IntegrityError, persistence.IntegrityError),
    (psycopg.NotSupportedError, persistence.NotSupportedError),
    (psycopg.DatabaseError, persistence.DatabaseError),
)
"""Errors of the driver, and those of the event store's library that they become."""


def conninfo_of(url: str, *, part: str, writes: bool = True) -> str:
    """Return libpq's connection string for a URL.

    `part` names the purpose in the server's list of sessions. Of several hosts libpq takes the
    one that accepts writes. Options in the URL override the defaults. Raises StoreError when
    libpq cannot read the URL.
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
    """Return the name under which the server lists this process: part, host, process id."""
    end = f" {os.getpid()}"
    start = f"postwatch {part} {socket.gethostname()}".encode("ascii", "replace")
    return start[: _NAME_BYTES - len(end)].decode() + end


@contextmanager
def translate_errors(place: str) -> Iterator[None]:
    """Turn errors of the driver into those of the event store's library.

    `place` names the database in their texts. An error of the connection becomes a
    DatabaseUnavailableError, missing rights or tables a DatabaseRefusedError.
    """
    try:
        yield
    except psycopg.Error as error:
        meaning = diagnose(error, place)
        if meaning is not None:
            raise meaning from error
        for theirs, ours in _LIBRARY_ERRORS:
            if isinstance(error, theirs):
                raise ours(str(error)) from error
        raise persistence.PersistenceError(str(error)) from error


class TimedConnection(psycopg.Connection[Any]):
    """A connection with a limit on how long each answer may take, and on commits in doubt.

    The kernel of a frozen server still acknowledges what it is sent, and a primary whose
    synchronous standby is gone lets every commit wait: only a clock notices either.
    """

    answer_seconds: float | None = None
    _is_in_doubt = False

    @override
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
            # A late answer would be taken for the answer to the next statement.
            self.pgconn.finish()
            raise SilentError(f"no answer within {self.answer_seconds:g} s") from error

    def watch_commits(self) -> None:
        """Remember when the server ends the wait of a commit for its standby."""
        self.add_notice_handler(self._note)

    def begin_certain(self) -> None:
        """Forget a commit in doubt: the caller that had this connection then got the error."""
        self._is_in_doubt = False

    def require_certain(self) -> None:
        """Raise InDoubtError if a commit since then may be lost together with the primary."""
        if self._is_in_doubt:
            raise InDoubtError("a commit was broken off while it waited for a synchronous standby")

    def _note(self, notice: Diagnostic) -> None:
        # Not by its words, which the server may say in any language.
        if notice.source_function == _WAITS_FOR_STANDBY:
            self._is_in_doubt = True


@contextmanager
def closed_on_failure(connection: TimedConnection) -> Iterator[None]:
    """Close a new connection if it cannot be made ready in this block."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


class Pool:
    """Up to `size` connections, lent to one caller at a time. The last one used is lent next."""

    def __init__(
        self,
        connect: Callable[[], TimedConnection],
        size: int,
        *,
        wait_seconds: float = WAIT_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        """Take the function that connects. Nothing is open before the first use.

        `wait_seconds`: how long a caller waits while all connections are lent;
        `idle_seconds`: how long an idle one is kept.
        """
        self._connect = connect
        self._size = size
        self._wait_seconds = wait_seconds
        self._idle_seconds = idle_seconds
        self._places = BoundedSemaphore(size)
        self._lock = Lock()
        self._idle: list[tuple[float, TimedConnection]] = []
        """When each idle connection came back, and the connection; the oldest comes first."""
        self._is_closed = False
        self._has_connected = False
        self.reconnects = 0
        """How many times a connection broke or was opened after the first one.

        Each may lead to another server. A pool that grows while a standby is promoted meets
        the new primary before any connection to the old one is known to be broken.
        """

    @contextmanager
    def lend(self) -> Iterator[TimedConnection]:
        """Lend a connection. One that comes back inside a transaction is closed."""
        if not self._places.acquire(timeout=self._wait_seconds):
            raise psycopg.errors.TooManyConnections(
                f"all {self._size} connections of this process are in use"
            )
        try:
            connection = self._take_idle() or self._open()
            try:
                yield connection
            finally:
                self._take_back(connection)
        finally:
            self._places.release()

    def discard_idle(self) -> None:
        """Close all connections that are not lent: the server behind them is gone."""
        with self._lock:
            self.reconnects += 1
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def close(self) -> None:
        """Close all connections, those that are lent when they come back."""
        with self._lock:
            self._is_closed = True
        self.discard_idle()

    def _take_idle(self) -> TimedConnection | None:
        """Return an idle connection that the server has not closed, None without one."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                _, connection = self._idle.pop()
            if not _has_input(connection):
                return connection
            with self._lock:
                self.reconnects += 1
            connection.close()

    def _open(self) -> TimedConnection:
        connection = self._connect()
        with self._lock:
            self.reconnects += self._has_connected
            self._has_connected = True
        return connection

    def _take_back(self, connection: TimedConnection) -> None:
        to_close = connection
        is_whole = connection.info.transaction_status == TransactionStatus.IDLE
        now = time.monotonic()
        with self._lock:
            self.reconnects += not is_whole
            if is_whole and not self._is_closed:
                self._idle.append((now, connection))
                # To close one is enough: another connection comes back soon.
                if now - self._idle[0][0] < self._idle_seconds:
                    return
                to_close = self._idle.pop(0)[1]
        to_close.close()


def _has_input(connection: TimedConnection) -> bool:
    """Return whether there is unread input, such as the last message of a closing server.

    This does not ask the server, which would take as long as the query itself. A notice that
    came meanwhile looks the same, and costs a new connection.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Connections:
    """The connections of a process for one purpose: pooled ones, and ones of their own.

    Nothing is open before the first use, so a process may fork until then.
    """

    def __init__(
        self,
        url: str,
        part: str,
        *,
        writes: bool = True,
        row_factory: RowFactory[Any] = tuple_row,
        answer_seconds: float | None = None,
    ) -> None:
        """Take `part`, the purpose of the connections in the server's list of sessions.

        `answer_seconds` limits how long any answer may take; None: without limit.
        """
        self._conninfo = conninfo_of(url, part=part, writes=writes)
        self.place = place_of(url)
        self._server = _server_for(url, writes=writes)
        self._row_factory = row_factory
        self._answer_seconds = answer_seconds
        self._pool = Pool(self._connect, CONNECTIONS)
        self._server.add(self._pool)

    @contextmanager
    def get(self, *, answer_seconds: float | None = None) -> Iterator[Connection]:
        """Lend a connection in autocommit mode; `answer_seconds` is for this time only.

        Raises errors of the event store's library: DatabaseUnavailableError when the database
        cannot be used, also when a commit of this block is in doubt.
        """
        with translate_errors(self.place), self._pool.lend() as connection:
            connection.answer_seconds = answer_seconds or self._answer_seconds
            connection.begin_certain()
            try:
                yield connection
            except SilentError:
                # A caller with a shorter limit has not found out that the server is gone.
                if (answer_seconds or ANSWER_SECONDS) >= (self._answer_seconds or ANSWER_SECONDS):
                    self.discard_all()
                raise
            connection.require_certain()

    @contextmanager
    def transaction(self, *, answer_seconds: float | None = None) -> Iterator[Connection]:
        """Lend a connection in a transaction, which ends with the block: with all or nothing."""
        with self.get(answer_seconds=answer_seconds) as connection, connection.transaction():
            yield connection

    @contextmanager
    def own(self) -> Iterator[Connection]:
        """Open a connection for this block alone: for locks and settings of a session."""
        with translate_errors(self.place):
            connection = self._connect()
            try:
                yield connection
            finally:
                # Not the driver's context manager, which commits: after a loss it would raise.
                connection.close()

    @property
    def reconnects(self) -> int:
        """How many times another server may have come behind these connections."""
        return self._pool.reconnects

    def discard_all(self) -> None:
        """Close the idle connections of all pools that lead to the same server."""
        self._server.discard_all()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _connect(self) -> TimedConnection:
        """Connect, unless the circuit breaker of the server is open."""
        with self._server.circuit_breaker.attempt(), translate_errors(self.place):
            connection = TimedConnection.connect(
                self._conninfo, autocommit=True, row_factory=self._row_factory
            )
            with closed_on_failure(connection):
                connection.answer_seconds = self._answer_seconds
                connection.watch_commits()
                if connection.info.server_version >= _HAS_THESE_SETTINGS:
                    connection.execute(_CONFIGURE)
            return connection


class _Server:
    """What all pools of this process that lead to one server share."""

    def __init__(self, place: str) -> None:
        self.circuit_breaker = CircuitBreaker(f"{place} answers again")
        self._lock = Lock()
        self._pools: WeakSet[Pool] = WeakSet()

    def add(self, pool: Pool) -> None:
        """Let a pool take part."""
        with self._lock:
            self._pools.add(pool)

    def discard_all(self) -> None:
        """Close the idle connections of all pools."""
        with self._lock:
            pools = list(self._pools)
        for pool in pools:
            pool.discard_idle()


_SERVERS: Final[dict[tuple[str, bool], _Server]] = {}
_SERVERS_LOCK: Final = Lock()


def _server_for(url: str, *, writes: bool) -> _Server:
    """Return the one `_Server` of this process for a URL, made at the first call."""
    with _SERVERS_LOCK:
        return _SERVERS.setdefault((url, writes), _Server(place_of(url)))
