"""Waking up when a log grows: LISTEN on one connection of the process, and a timed fallback.

A notification may be lost, so whoever asks is told "perhaps" once a second in any case.
Where the server lets nobody listen (a standby does not), that is five times a second.
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
"""How late a change is noticed whose notification was lost."""

POLL_SECONDS: Final = 0.2
"""How late it is noticed while nobody listens."""

_PAUSE_SECONDS: Final = 0.5
_ASK_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 0.2


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
        """Return what tells that somebody wrote to a log."""
        made = PostgresChangeSignal(self, log_table(name))
        with self._lock:
            self._signals.append(made)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="listener", daemon=True)
                self._thread.start()
        return made

    def forget(self, signal: PostgresChangeSignal) -> None:
        """Tell a signal no more."""
        with self._lock:
            if signal in self._signals:
                self._signals.remove(signal)

    def close(self) -> None:
        """Stop listening."""
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
                        "the database tells nobody that logs grow (%s); it is asked again",
                        outage_reason(error),
                    )
            self.listens = False
            self._stop.wait(_PAUSE_SECONDS)

    def _listen(self, session: Connection) -> None:
        for each in LOGS:
            session.execute(sql.SQL("LISTEN {}").format(sql.Identifier(log_table(each))))
        self.listens = True
        # What was written before we listened.
        self._tell(None)
        asked_at = time.monotonic()
        while not self._stop.is_set():
            for notify in session.notifies(timeout=_STOP_SECONDS, stop_after=1):
                self._tell(notify.channel)
            # Whoever only listens never learns that a server has fallen silent for good.
            if time.monotonic() - asked_at > _ASK_SECONDS:
                session.execute("SELECT 1")
                asked_at = time.monotonic()

    def _tell(self, channel: str | None) -> None:
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
        self._asked_at = 0.0

    @override
    def changed(self) -> bool:
        now = time.monotonic()
        patience = FALLBACK_SECONDS if self._listener.listens else POLL_SECONDS
        if not self.notified and now - self._asked_at < patience:
            return False
        # In this order: a notification between the two is not lost.
        self.notified = False
        self._asked_at = now
        return True

    @override
    def close(self) -> None:
        """Stop listening for this one."""
        self._listener.forget(self)
