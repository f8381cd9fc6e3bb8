"""What SIGTERM and SIGINT do to a process that has no event loop."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from types import FrameType


_NO_SIGNAL: Final = 0


@contextmanager
def exiting_on_sigterm() -> Iterator[None]:
    """End the process on SIGTERM while the block runs.

    Without a handler the kernel ignores SIGTERM for process 1, which a container's is.
    """

    def end(_signal: int, _frame: FrameType | None) -> None:
        sys.exit()

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stop_event(log: logging.Logger) -> Iterator[Event]:
    """Give an event that SIGTERM or SIGINT sets; the first signal is logged."""
    stop = Event()
    # A handler may interrupt `logging` while it holds its lock, so a thread writes the line.
    # SimpleQueue.put is safe in a signal handler.
    received: SimpleQueue[int] = SimpleQueue()

    def request_stop(number: int, _frame: FrameType | None) -> None:
        received.put(number)
        stop.set()

    logger = Thread(target=_log_signal, args=(received, log), name="signal log", daemon=True)
    logger.start()
    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    try:
        yield stop
    finally:
        received.put(_NO_SIGNAL)
        logger.join()


def _log_signal(received: SimpleQueue[int], log: logging.Logger) -> None:
    number = received.get()
    if number != _NO_SIGNAL:
        log.info("%s: finishing what is running", signal.Signals(number).name)
