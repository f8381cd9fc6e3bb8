"""The projections process: keeps every view at the head of its log."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from projections.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from domain.storage.sqlite_log import LogSignal
    from projections.catch_up import Projector

log = logging.getLogger("postwatch.projections")

LOOK_SECONDS: Final = 0.03
"""How long a view may be behind before anyone looks. A look costs microseconds."""

AWAY_SECONDS: Final = 1.0
"""How long to wait before a view is tried again that could not be written."""


def run(projectors: Mapping[str, Projector], signals: Mapping[str, LogSignal], stop: Event) -> None:
    """Catch up whenever a log grows, until `stop` is set.

    `signals` tells by log name that the log has grown. A view whose file takes nothing now
    waits, and the others go on.
    """
    patience = Patience()
    for name, projector in projectors.items():
        patience.attempt(name, partial(_start, name, projector))
    while not stop.is_set():
        grown = {name for name, signal in signals.items() if signal.changed()}
        for name, projector in projectors.items():
            if projector.log.name in grown or name in patience.waiting:
                patience.attempt(name, projector.catch_up)
        stop.wait(AWAY_SECONDS if patience.waiting else LOOK_SECONDS)


def _start(name: str, projector: Projector) -> None:
    if projector.is_ahead():
        log.warning("view %s shows events that its log does not have; it is rebuilt", name)
        projector.rebuild(lambda *_: None)
    applied = projector.catch_up()
    log.info(
        "view %s: position %d, %d events applied at start",
        name,
        projector.view.position(),
        applied,
    )
