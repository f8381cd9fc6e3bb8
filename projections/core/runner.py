"""The loop of the projections process: keeps every view at the head of its log.

Each view has a follower. A view that needs a rebuild is rebuilt in a thread of its own, and a
view that cannot be written now is retried; meanwhile the other views are kept current.
"""

from __future__ import annotations

import gc
import logging
import time
from threading import Thread
from typing import TYPE_CHECKING, Final

from projections.core.joined_log import readers_of
from store.ports.errors import STORE_UNAVAILABLE, outage_reason
from store.ports.locks import LockHeldError, LockLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from threading import Event

    from projections.core.projector import Projector
    from store.ports.engine import ChangeSignal


log = logging.getLogger("postwatch.projections")

POLL_SECONDS: Final = 0.03
"""How often the loop asks whether a log has grown. Asking costs microseconds."""

RETRY_SECONDS: Final = 1.0
"""The pause of the loop while a view cannot be written."""

REBUILD_RETRY_SECONDS: Final = 0.5
"""The pause before a rebuild is tried again that another process does, or that failed."""

PROGRESS_SECONDS: Final = 5.0
"""The least time between two log lines about a rebuild."""

_FAILED_FOR_NOW: Final[tuple[type[Exception], ...]] = (*STORE_UNAVAILABLE, LockLostError)

_NEW_OBJECTS_PER_COLLECTION: Final = 100_000
"""More than a batch of events makes."""


def run(
    projectors: Mapping[str, Projector], signals: Mapping[str, ChangeSignal], stop: Event
) -> None:
    """Catch up whenever a log grows, until `stop` is set.

    `signals` says by the name of a log whether it has grown. Raises what a fold raises.
    """
    followers: list[ViewFollower] = []
    try:
        followers.extend(ViewFollower(each, stop) for each in projectors.values())
        while not stop.is_set():
            grown = {name for name, signal in signals.items() if signal.changed()}
            for follower in followers:
                follower.step(grown)
            is_failing = any(each.is_failing for each in followers)
            stop.wait(RETRY_SECONDS if is_failing else POLL_SECONDS)
    finally:
        stop.set()
        for follower in followers:
            follower.close()


class ViewFollower:
    """Brings one view to the head of its log, by a rebuild if needed, then keeps it there."""

    def __init__(self, projector: Projector, stop: Event) -> None:
        self.is_failing = False
        self._name = projector.projection.name
        self._projector = projector
        self._stop = stop
        self._rebuild: RebuildThread | None = None
        self._is_behind = False
        self._rests_until = 0.0
        if self._needs_rebuild():
            self._rebuild = RebuildThread(projector, stop)
        else:
            self._attempt(self._start)

    def step(self, grown: Collection[str]) -> None:
        """Catch up if the log is one of those that have grown, or had grown during a rest."""
        self._is_behind |= any(each.name in grown for each in readers_of(self._projector.log))
        if self._rebuild is None:
            is_due = self._is_behind and time.monotonic() >= self._rests_until
            if is_due or self.is_failing:
                self._is_behind = False
                self._attempt(self._projector.catch_up)
                self._rests_until = time.monotonic() + self._projector.projection.rest_seconds
        # A rebuild that a stop broke off must not be finished here: nothing could stop it then.
        elif self._rebuild.is_done() and not self._stop.is_set():
            self._rebuild = None
            self._attempt(self._start)

    def close(self) -> None:
        """Wait for the end of a rebuild. Raises what it failed with."""
        if self._rebuild is not None:
            self._rebuild.join()

    def _start(self) -> None:
        applied = self._projector.catch_up()
        log.info(
            "view %s: position %d, %d events applied at start",
            self._name,
            self._projector.view.position(),
            applied,
        )

    def _attempt(self, work: Callable[[], object]) -> None:
        """Write to the view; log when it begins to fail because of the store, and when it ends."""
        try:
            work()
        except STORE_UNAVAILABLE as error:
            if not self.is_failing:
                log.error("view %s does not follow its log: %s", self._name, outage_reason(error))  # noqa: TRY400 - expected, said in one line
            self.is_failing = True
        else:
            if self.is_failing:
                log.info("view %s follows its log again", self._name)
            self.is_failing = False

    def _needs_rebuild(self) -> bool:
        if not self._projector.is_current():
            log.warning(
                "view %s was not made by this version, or not at all; it is rebuilt", self._name
            )
            return True
        if self._projector.is_ahead():
            log.warning(
                "view %s shows events that its log does not have; it is rebuilt", self._name
            )
            return True
        return False


class _StoppedError(Exception):
    """The process must stop; the next start resumes the rebuild."""


class RebuildThread:
    """A thread that rebuilds one view, and retries until it is done or the process stops."""

    def __init__(self, projector: Projector, stop: Event) -> None:
        self._projector = projector
        self._name = projector.projection.name
        self._stop = stop
        self._logged_at = time.monotonic()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"rebuild of {self._name}")
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
                    self._log_progress(f"is being rebuilt elsewhere, {error}")
                    self._stop.wait(REBUILD_RETRY_SECONDS)
                except _FAILED_FOR_NOW as error:
                    self._log_progress(f"cannot be rebuilt now: {outage_reason(error)}")
                    self._stop.wait(REBUILD_RETRY_SECONDS)
                else:
                    return
        except _StoppedError:
            # Unless the stop came after the swap.
            if not self._projector.is_current():
                log.info("view %s: its rebuild goes on after the next start", self._name)
        except BaseException as error:  # noqa: BLE001 - `join` raises it again
            self._error = error

    def _report(self, position: int, head: int) -> None:
        if self._stop.is_set():
            raise _StoppedError
        self._log_progress(f"rebuilt to position {position} of {head}")

    def _log_progress(self, what: str) -> None:
        now = time.monotonic()
        if now - self._logged_at >= PROGRESS_SECONDS:
            self._logged_at = now
            log.info("view %s: %s", self._name, what)


def relax_gc() -> None:
    """Run Python's cyclic garbage collector seldom, and never on what exists by now.

    Folding makes hundreds of objects an event and no cycles. With Python's own thresholds the
    collector took up to a third of the time of a rebuild.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS_PER_COLLECTION)
