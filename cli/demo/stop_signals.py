"""Signals that end the demo where it waits, and never between a deed and its note.

A signal that raised anywhere could come after a folder was made or a process started, and
before anybody knew of it: then nobody would remove or stop it.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Takes the signals while its block runs; the first one interrupts, the others nothing."""

    def __init__(self) -> None:
        self._came = False
        self._may_interrupt = False
        handlers = {each: signal.getsignal(each) for each in STOP_SIGNALS}
        # What is ignored stays so: a demo behind nohup outlives its terminal.
        self._before = {each: old for each, old in handlers.items() if old is not signal.SIG_IGN}

    def __enter__(self) -> Self:
        """Take the signals."""
        for each in self._before:
            signal.signal(each, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    @contextmanager
    def may_interrupt(self) -> Iterator[None]:
        """Let a signal end this block, also one that came before it.

        Raises:
            KeyboardInterrupt: A signal came.
        """
        self._may_interrupt = True
        try:
            if self._came:
                raise KeyboardInterrupt
            yield
        finally:
            self._may_interrupt = False

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        first, self._came = not self._came, True
        if first and self._may_interrupt:
            raise KeyboardInterrupt
