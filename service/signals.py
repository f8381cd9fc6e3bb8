"""What SIGTERM and SIGINT do to a process that has no event loop."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator
    from types import FrameType, TracebackType


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


STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Handles the stop signals while its block runs: the first one may interrupt it.

    A signal interrupts the block only within `may_interrupt`. Elsewhere it could come after a
    folder was made or a process started, and before the program has noted that: then nothing
    would remove or stop it.
    """

    def __init__(self) -> None:
        self._received = False
        self._may_interrupt = False
        current = {each: signal.getsignal(each) for each in STOP_SIGNALS}
        # An ignored signal stays ignored: under nohup a program outlives its terminal.
        self._handlers = {each: old for each, old in current.items() if old is not signal.SIG_IGN}

    def __enter__(self) -> Self:
        """Install the handlers."""
        for each in self._handlers:
            signal.signal(each, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the handlers from before."""
        for each, handler in self._handlers.items():
            signal.signal(each, handler)

    @contextmanager
    def may_interrupt(self) -> Iterator[None]:
        """Let a signal end this block, also one that was received before it.

        Raises:
            KeyboardInterrupt: A signal was received.
        """
        self._may_interrupt = True
        try:
            if self._received:
                raise KeyboardInterrupt
            yield
        finally:
            self._may_interrupt = False

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        first, self._received = not self._received, True
        if first and self._may_interrupt:
            raise KeyboardInterrupt
