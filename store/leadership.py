"""One of several processes is active; the others stand by, and one of them takes over.

Among the hosts of a database. Whoever has lost its lock without ending (its session broke,
or it was frozen for so long that the server took the lock) stops, and stands by again. For
a moment two may be active then: rows and position change in one transaction, so nothing is
applied twice.
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

LOOK_SECONDS: Final = 0.5
"""How long an active process may be gone before another one looks."""

_NOTICE_SECONDS: Final = 0.1


def run_as_leader(locks: Locks, name: str, work: Work, stop: Event) -> None:
    """Do `work` whenever no other process does, until `stop` is set.

    `work` gets an event, and ends soon after it is set: because of `stop`, or because it is
    no longer its turn, which the lock tells that it gets too.
    """
    told = ""
    while not stop.is_set():
        said = _take_turn(locks, name, work, stop)
        if said != told and not stop.is_set():
            log.info("standing by: %s", said)
        told = said
        stop.wait(LOOK_SECONDS)


def _take_turn(locks: Locks, name: str, work: Work, stop: Event) -> str:
    """Do the work if nobody else does; return why not, or why no longer."""
    try:
        holder: LockHolder | None = locks.holder(name)
        if holder is not None:
            return str(holder)
        with locks.hold(name) as hold:
            log.info("active: this process holds %s of %s", name, locks.place)
            with _turn(hold, stop) as over:
                work(over, hold)
    except (LockHeldError, LockLostError) as error:
        return str(error)
    except STORE_UNAVAILABLE as error:
        return f"the store {outage_reason(error)}"
    return "the lock is lost"


@contextmanager
def _turn(hold: LockHandle, stop: Event) -> Iterator[Event]:
    """Give an event that is set when it is to end, or when the lock is lost."""
    over, ended = Event(), Event()

    def watch() -> None:
        while not (stop.is_set() or hold.is_lost or ended.is_set()):
            stop.wait(_NOTICE_SECONDS)
        over.set()

    thread = Thread(target=watch, name="turn watch", daemon=True)
    thread.start()
    try:
        yield over
    finally:
        ended.set()
        thread.join()
