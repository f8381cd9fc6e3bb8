"""The projections process: keeps every view at the head of its log."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from projections.patience import Patience
from projections.renewal import Renewal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from threading import Event

    from domain.storage.engine import Signal
    from projections.catch_up import Projector

log = logging.getLogger("postwatch.projections")

LOOK_SECONDS: Final = 0.03
"""How long a view may be behind before anyone looks. A look costs microseconds."""

AWAY_SECONDS: Final = 1.0
"""How long to wait before a view is tried again that could not be written."""


def run(projectors: Mapping[str, Projector], signals: Mapping[str, Signal], stop: Event) -> None:
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
