"""The projections process: keeps every view at the head of its log.

Waiting for a store that is away, because the disk is full, say: told once, and once again.

A rebuild in a thread of its own, so that the other views do not wait for it.

How often Python looks for objects that only hold one another, in a process that folds.

Folding makes hundreds of objects an event and no such rings. With Python's own settings the
looking took up to a third of the time of a rebuild.
"""

from __future__ import annotations

import gc
import logging
import time
from threading import Thread
from typing import TYPE_CHECKING, Final

from store.ports.errors import STORE_UNAVAILABLE, outage_reason
from store.ports.locks import LockHeldError, LockLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from threading import Event

    from projections.core.projector import Projector
    from store.ports.engine import ChangeSignal


log = logging.getLogger("postwatch.projections")


class Patience:
    """Remembers which views cannot follow their log now."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()

    def attempt(self, view: str, work: Callable[[], object]) -> bool:
        """Do some work on a view; return whether it was done. Whoever asks tries again later."""
        try:
            work()
        except STORE_UNAVAILABLE as error:
            if view not in self.waiting:
                log.error("view %s does not follow its log: %s", view, outage_reason(error))  # noqa: TRY400 - expected, told in one line
            self.waiting.add(view)
            return False
        if view in self.waiting:
            self.waiting.discard(view)
            log.info("view %s follows its log again", view)
        return True


_TELL_SECONDS: Final = 5.0
_TRY_AGAIN_SECONDS: Final = 0.5
"""Between two looks whether somebody else's rebuild is done."""


_NOT_NOW: Final[tuple[type[Exception], ...]] = (*STORE_UNAVAILABLE, LockLostError)


class _StoppedError(Exception):
    """The process is to end; the rebuild goes on after the next start."""


class Renewal:
    """Makes one view current, however long that takes."""

    def __init__(self, projector: Projector, stop: Event) -> None:
        self._projector = projector
        self._name = projector.projection.name
        self._stop = stop
        self._told = time.monotonic()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"renewal of {self._name}")
        self._thread.start()

    def is_done(self) -> bool:
        """Return whether it has ended. Raises what it failed with."""
        if self._thread.is_alive():
            return False
        self.join()
        return True

    def join(self) -> None:
        """Wait for the end. Raises what it failed with."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._projector.rebuild_if_needed(self._report)
                except LockHeldError as error:
                    self._tell(f"is being rebuilt elsewhere, {error}")
                    self._stop.wait(_TRY_AGAIN_SECONDS)
                except _NOT_NOW as error:
                    self._tell(f"cannot be rebuilt now: {outage_reason(error)}")
                    self._stop.wait(_TRY_AGAIN_SECONDS)
                else:
                    return
        except _StoppedError:
            if self._projector.is_current():
                return  # The stop came when the view was in its place already.
            log.info("view %s: its rebuild goes on after the next start", self._name)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            self._error = error

    def _report(self, position: int, head: int) -> None:
        if self._stop.is_set():
            raise _StoppedError
        self._tell(f"rebuilt to position {position} of {head}")

    def _tell(self, what: str) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            log.info("view %s: %s", self._name, what)


LOOK_SECONDS: Final = 0.03
"""How long a view may be behind before anyone looks. A look costs microseconds."""

AWAY_SECONDS: Final = 1.0
"""How long to wait before a view is tried again that could not be written."""


def run(
    projectors: Mapping[str, Projector], signals: Mapping[str, ChangeSignal], stop: Event
) -> None:
    """Catch up whenever a log grows, until `stop` is set.

    `signals` tells by log name that the log has grown. A view that must be rebuilt is so
    beside the others; one whose file takes nothing now waits, and the others go on.
    """
    patience = Patience()
    keepers: list[_Keeper] = []
    try:
        for name, projector in projectors.items():
            keepers.append(_Keeper(name, projector, patience, stop))
        while not stop.is_set():
            grown = {name for name, signal in signals.items() if signal.changed()}
            for keeper in keepers:
                keeper.step(grown)
            stop.wait(AWAY_SECONDS if patience.waiting else LOOK_SECONDS)
    finally:
        stop.set()
        for keeper in keepers:
            keeper.close()


class _Keeper:
    """Keeps one view current, and begins by making it so."""

    def __init__(self, name: str, projector: Projector, patience: Patience, stop: Event) -> None:
        self._name = name
        self._projector = projector
        self._patience = patience
        self._stop = stop
        self._renewal: Renewal | None = None
        self._is_behind = False
        self._rests_until = 0.0
        if _needs_rebuild(name, projector):
            self._renewal = Renewal(projector, stop)
        else:
            patience.attempt(name, self._start)

    def step(self, grown: Collection[str]) -> None:
        """Catch up if the log is one of those that have grown, or had grown during a rest."""
        self._is_behind |= self._projector.log.name in grown
        if self._renewal is None:
            is_due = self._is_behind and time.monotonic() >= self._rests_until
            if is_due or self._name in self._patience.waiting:
                self._catch_up()
        # A rebuild that a stop broke off must not be finished here: nothing could stop it then.
        elif self._renewal.is_done() and not self._stop.is_set():
            self._renewal = None
            self._patience.attempt(self._name, self._start)

    def _catch_up(self) -> None:
        self._is_behind = False
        self._patience.attempt(self._name, self._projector.catch_up)
        self._rests_until = time.monotonic() + self._projector.projection.rest_seconds

    def close(self) -> None:
        """Wait for what goes on beside."""
        if self._renewal is not None:
            self._renewal.join()

    def _start(self) -> None:
        applied = self._projector.catch_up()
        log.info(
            "view %s: position %d, %d events applied at start",
            self._name,
            self._projector.view.position(),
            applied,
        )


def _needs_rebuild(name: str, projector: Projector) -> bool:
    if not projector.is_current():
        log.warning("view %s was not made by this version, or not at all; it is rebuilt", name)
        return True
    if projector.is_ahead():
        log.warning("view %s shows events that its log does not have; it is rebuilt", name)
        return True
    return False


_NEW_OBJECTS: Final = 100_000
"""A batch in the making has fewer."""


def relax_gc() -> None:
    """Let Python look seldom from now on, and never again at what is there by now."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
