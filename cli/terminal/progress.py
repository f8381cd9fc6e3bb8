"""The progress of a long command on stderr: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cli.terminal.output import print_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from projections.core.projector import OnProgress


LINE_SECONDS: Final = 5.0
"""Time between two lines where there is no terminal."""


@dataclass(slots=True)
class RateMeter:
    """Units a second of this run. What an earlier run did before the first report is left out."""

    clock: Callable[[], float] = time.monotonic
    _first: int | None = None
    _started: float = field(default=0.0)

    def per_second(self, done: int) -> float:
        """Take how many units are done; return the rate, 0 while it is unknown."""
        now = self.clock()
        if self._first is None:
            self._first, self._started = done, now
        elapsed = now - self._started
        return (done - self._first) / elapsed if elapsed > 0 else 0.0


def time_left(done: int, total: int, rate: float) -> str:
    """Return the time left at a rate a second, as `m:ss` or `h:mm:ss`; `-:--` if unknown."""
    if rate <= 0:
        return "-:--"
    minutes, seconds = divmod(round(max(total - done, 0) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@contextmanager
def progress(
    what: str,
    unit: str = "events",
    *,
    is_quiet: bool = False,
    line_seconds: float = LINE_SECONDS,
) -> Iterator[OnProgress]:
    """Give a function that takes how many units are done, and how many there are.

    With `is_quiet` nothing is printed where there is no terminal.
    """
    if sys.stderr.isatty():
        with _bar(what, unit) as report:
            yield report
    elif is_quiet:
        yield lambda *_: None
    else:
        yield _lines(what, unit, line_seconds)


@contextmanager
def _bar(what: str, unit: str) -> Iterator[OnProgress]:
    # Imported here: only a terminal needs them.
    from rich.console import Console  # noqa: PLC0415 - as said above
    from rich.progress import (  # noqa: PLC0415 - as said above
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{{task.fields[rate]}} {unit}/s"),
        TextColumn("{task.fields[left]} left"),
    )
    meter = RateMeter()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, rate="-", left="-:--")

        def report(done: int, total: int) -> None:
            rate = meter.per_second(done)
            left = time_left(done, total, rate)
            bar.update(task, completed=done, total=total, rate=f"{rate:,.0f}", left=left)

        yield report


def _lines(what: str, unit: str, line_seconds: float) -> OnProgress:
    meter = RateMeter()
    shown = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal shown
        rate = meter.per_second(done)
        now = time.monotonic()
        if now - shown < line_seconds:
            return
        shown = now
        print_line(
            f"{what}: {done} of {total} {unit}, {rate:,.0f} {unit}/s, "
            f"{time_left(done, total, rate)} left",
            error=True,
        )

    return report
