"""Leader election: one of several processes does the work, the others stand by.

The leader holds a lock among the hosts of a store. A leader that loses the lock stops its work
and stands by again: its session broke, or it was frozen for so long that the server released
the lock. For a moment there may be two leaders. That does no harm, because rows and position
change in one transaction, so nothing is applied twice.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from store.ports.errors import STORE_UNAVAILABLE, outage_reason
from store.ports.locks import LockHeldError, LockLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from store.ports.locks import LockHandle, LockHolder, Locks

    Work = Callable[[Event, LockHandle], None]


log = logging.getLogger("postwatch.projections")

ELECTION_SECONDS: Final = 0.5
"""How often a process that stands by tries to become the leader."""

_WATCH_SECONDS: Final = 0.1


def run_as_leader(locks: Locks, name: str, work: Work, stop: Event) -> None:
    """Run `work` whenever this process is the leader, until `stop` is set.

    `work` gets an event and the lock. The event is set because of `stop`, or because the lock
    is lost (`LockHandle.is_lost` says which); `work` returns soon after that.
    """
    logged = ""
    while not stop.is_set():
        reason = _lead(locks, name, work, stop)
        if reason != logged and not stop.is_set():
            log.info("standing by: %s", reason)
        logged = reason
        stop.wait(ELECTION_SECONDS)


def _lead(locks: Locks, name: str, work: Work, stop: Event) -> str:
    """Run the work as the leader; return why this process is not, or no longer, the leader."""
    try:
        holder: LockHolder | None = locks.holder(name)
        if holder is not None:
            return str(holder)
        with locks.hold(name) as lock:
            log.info("active: this process holds %s of %s", name, locks.place)
            with _watched(lock, stop) as over:
                work(over, lock)
    except (LockHeldError, LockLostError) as error:
        return str(error)
    except STORE_UNAVAILABLE as error:
        return f"the store {outage_reason(error)}"
    return "the lock is lost"


@contextmanager
def _watched(lock: LockHandle, stop: Event) -> Iterator[Event]:
    """Yield an event that is set when `stop` is set or the lock is lost."""
    over, ended = Event(), Event()

    def watch() -> None:
        while not (stop.is_set() or lock.is_lost or ended.is_set()):
            stop.wait(_WATCH_SECONDS)
        over.set()

    thread = Thread(target=watch, name="lock watch", daemon=True)
    thread.start()
    try:
        yield over
    finally:
        ended.set()
        thread.join()
