"""Wake-ups when a log grows: LISTEN on one connection of the process, and a timed fallback.

A notification may be lost, so a signal answers "perhaps" once a second in any case. While
the listener has no connection (a standby refuses LISTEN), it does so five times a second.
"""

from __future__ import annotations

import logging
import time
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final

from eventsourcing.persistence import PersistenceError
from psycopg import sql
from typing_extensions import override

from store.ports.engine import LOGS, ChangeSignal
from store.ports.errors import outage_reason
from store.postgres.log import log_table

if TYPE_CHECKING:
    from store.postgres.connections import Connection, Connections


log = logging.getLogger("postwatch.store")

FALLBACK_SECONDS: Final = 1.0
"""How late a change is noticed when its notification was lost."""

POLL_SECONDS: Final = 0.2
"""How late a change is noticed while the listener has no connection."""

_RECONNECT_SECONDS: Final = 0.5
_PROBE_SECONDS: Final = 5.0
_STOP_CHECK_SECONDS: Final = 0.2


class Listener:
    """Listens for all logs of a store, in a thread that the first signal starts."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._signals: list[PostgresChangeSignal] = []
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None
        self.listens = False

    def signal(self, name: str) -> PostgresChangeSignal:
        """Return a signal for a log; the first one starts the thread."""
        made = PostgresChangeSignal(self, log_table(name))
        with self._lock:
            self._signals.append(made)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="listener", daemon=True)
                self._thread.start()
        return made

    def forget(self, signal: PostgresChangeSignal) -> None:
        """Stop notifying a signal."""
        with self._lock:
            if signal in self._signals:
                self._signals.remove(signal)

    def close(self) -> None:
        """Stop the thread and close its connection."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connections.own() as session:
                    self._listen(session)
            except PersistenceError as error:
                if self.listens:
                    log.warning(
                        "the database sends no notifications of new events (%s); trying again",
                        outage_reason(error),
                    )
            self.listens = False
            self._stop.wait(_RECONNECT_SECONDS)

    def _listen(self, session: Connection) -> None:
        for each in LOGS:
            session.execute(sql.SQL("LISTEN {}").format(sql.Identifier(log_table(each))))
        self.listens = True
        # Events may have been written before this connection listened.
        self._notify(None)
        probed_at = time.monotonic()
        while not self._stop.is_set():
            for notify in session.notifies(timeout=_STOP_CHECK_SECONDS, stop_after=1):
                self._notify(notify.channel)
            # A connection that only listens never detects that the server is gone.
            if time.monotonic() - probed_at > _PROBE_SECONDS:
                session.execute("SELECT 1")
                probed_at = time.monotonic()

    def _notify(self, channel: str | None) -> None:
        with self._lock:
            for signal in self._signals:
                if channel in (None, signal.channel):
                    signal.notified = True


class PostgresChangeSignal(ChangeSignal):
    """Tells that a log may have grown."""

    def __init__(self, listener: Listener, channel: str) -> None:
        self.channel = channel
        self.notified = True
        self._listener = listener
        self._answered_at = 0.0

    @override
    def changed(self) -> bool:
        now = time.monotonic()
        fallback_seconds = FALLBACK_SECONDS if self._listener.listens else POLL_SECONDS
        if not self.notified and now - self._answered_at < fallback_seconds:
            return False
        # In this order: a notification between the two is not lost.
        self.notified = False
        self._answered_at = now
        return True

    @override
    def close(self) -> None:
        """Stop listening for this one."""
        self._listener.forget(self)
