"""How far a long command is: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Report = Callable[[int, int], None]

LINE_SECONDS: Final = 5


@dataclass(slots=True)
class Pace:
    """How fast it goes and how long it still takes, of what this run has done itself.

    What an earlier run did was there at the first report and counts for nothing.
    """

    clock: Callable[[], float] = time.monotonic
    _first: int | None = None
    _started: float = field(default=0.0)

    def per_second(self, done: int) -> float:
        """Take how much is done and return how much that is a second; 0 as long as unknown."""
        now = self.clock()
        if self._first is None:
            self._first, self._started = done, now
        elapsed = now - self._started
        return (done - self._first) / elapsed if elapsed > 0 else 0.0


@contextmanager
def progress(what: str, unit: str = "events", *, is_quiet: bool = False) -> Iterator[Report]:
    """Return a function that takes how much is done and how much there is in all.

    With `is_quiet` nothing is printed where there is no terminal.
    """
    if sys.stderr.isatty():
        with _bar(what, unit) as report:
            yield report
    elif is_quiet:
        yield lambda *_: None
    else:
        yield _lines(what, unit)


def time_left(done: int, total: int, rate: float) -> str:
    """Return the time that is left at a rate, as `m:ss` or `h:mm:ss`; `-:--` when unknown."""
    if rate <= 0:
        return "-:--"
    minutes, seconds = divmod(round(max(total - done, 0) / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@contextmanager
def _bar(what: str, unit: str) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{{task.fields[rate]}} {unit}/s"),
        TextColumn("{task.fields[left]} left"),
    )
    pace = Pace()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None, rate="-", left="-:--")

        def report(done: int, total: int) -> None:
            rate = pace.per_second(done)
            left = time_left(done, total, rate)
            bar.update(task, completed=done, total=total, rate=f"{rate:,.0f}", left=left)

        yield report


def _lines(what: str, unit: str) -> Report:
    pace = Pace()
    shown = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal shown
        rate = pace.per_second(done)
        now = time.monotonic()
        if now - shown < LINE_SECONDS:
            return
        shown = now
        print(
            f"{what}: {done} of {total} {unit}, {rate:,.0f} {unit}/s, "
            f"{time_left(done, total, rate)} left",
            file=sys.stderr,
            flush=True,
        )

    return report
