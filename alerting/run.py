"""The loop of the process that decides: follows the logs and the clock until it is stopped."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from store.ports.errors import CONFLICT_ERRORS, STORE_UNAVAILABLE, outage_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Event

    from alerting.decider import Decider
    from alerting.metrics import AlertingMetrics
    from store.ports.engine import ChangeSignal
    from store.ports.locks import LockHandle


log = logging.getLogger("postwatch.alerting")

ALERTING_LOCK: Final = "alerting"

POLL_SECONDS: Final = 0.05
"""How often the loop asks whether a log has grown. Asking costs microseconds."""

RETRY_SECONDS: Final = 1.0
"""The pause while the store cannot be used."""


def decide(
    decider: Decider,
    signals: Mapping[str, ChangeSignal],
    metrics: AlertingMetrics,
    stop: Event,
    lock: LockHandle,
    *,
    clock: Callable[[], float] = time.time,
) -> None:
    """Decide whenever a log grows or a deadline comes, until `stop` is set.

    When another process decided, or the store was unavailable, all is read again: what is in
    the logs counts. Raises what a bug raises.
    """
    metrics.active.set(1)
    try:
        while not stop.is_set():
            try:
                decider.load()
                _follow(decider, signals, stop, clock)
                if not lock.is_lost:
                    decider.finish()
            except CONFLICT_ERRORS:
                # Not the text of the error, which holds stored data.
                log.warning("another process decided, or somebody changed an incident meanwhile")
                metrics.reloads.inc()
            except STORE_UNAVAILABLE as error:
                log.warning("alerting cannot decide now: the store %s", outage_reason(error))
                stop.wait(RETRY_SECONDS)
    finally:
        metrics.active.set(0)


def _follow(
    decider: Decider,
    signals: Mapping[str, ChangeSignal],
    stop: Event,
    clock: Callable[[], float],
) -> None:
    is_behind = True
    while not stop.is_set():
        # Every signal is asked, or it would say the same again.
        grown = [name for name, signal in signals.items() if signal.changed()]
        if is_behind or grown or decider.next_deadline() <= clock() or decider.wants_to_move():
            is_behind = decider.step()
        if not is_behind:
            stop.wait(POLL_SECONDS)
