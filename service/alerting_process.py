"""The process that decides what is an incident and who is to hear of it."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from alerting.decider import Decider
from alerting.metrics import AlertingMetrics, metrics_server
from alerting.run import ALERTING_LOCK, decide
from service.errors import CommandError, ExitCode
from service.opening import hold_part, open_from_settings, wait_for_database
from service.signals import stop_event
from service.supervised_part import lock_wait_seconds
from store.leadership import run_as_leader
from store.ports.engine import LOGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from service.settings import Settings
    from store.ports.locks import LockHandle
    from store.store import Store


log = logging.getLogger("postwatch.alerting")


def keep_alerting(settings: Settings, supervisor_pid: int | None) -> None:
    """Decide on the checks of the store until SIGTERM or SIGINT.

    On a database one process does so and further ones stand by. On files a second process is
    refused: CommandError.
    """
    metrics = AlertingMetrics()
    store = wait_for_database(lambda: open_from_settings(settings))
    with store, stop_event(log) as stop, _serve_metrics(settings, metrics):

        def work(end: Event, lock: LockHandle) -> None:
            _decide(store, metrics, end, lock)

        locks = store.engine.locks
        if locks.spans_hosts:
            run_as_leader(locks, ALERTING_LOCK, work, stop)
        else:
            with hold_part(
                locks, ALERTING_LOCK, wait_seconds=lock_wait_seconds(supervisor_pid)
            ) as lock:
                work(stop, lock)


def _decide(store: Store, metrics: AlertingMetrics, end: Event, lock: LockHandle) -> None:
    with ExitStack() as opened:
        signals = {each: opened.enter_context(closing(store.signal(each))) for each in LOGS}
        decide(Decider(store, metrics=metrics), signals, metrics, end, lock)


@contextmanager
def _serve_metrics(settings: Settings, metrics: AlertingMetrics) -> Iterator[None]:
    """Serve the metrics while the block runs, if a setting names an address for them.

    Raises CommandError when the address is in use.
    """
    with ExitStack() as stack:
        if settings.alerting_metrics_bind is not None:
            host, port = settings.alerting_metrics_bind
            try:
                stack.enter_context(metrics_server(metrics, host, port))
            except OSError as error:
                raise CommandError(
                    ExitCode.ADDRESS_IN_USE,
                    f"cannot serve metrics on {host}:{port}: {error.strerror or error}; set "
                    "POSTWATCH_ALERTING_METRICS_BIND to another host:port, or stop the process "
                    "that listens there",
                ) from error
        yield
