"""Output that is worth nothing unless it is whole.

Rows on stdout: a table for people, JSON for machines.

How far a long command is: a bar on a terminal, a line every few seconds elsewhere.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    OnProgress = Callable[[int, int], None]


STDOUT: Final = Path("-")


@contextmanager
def whole(what: str, file: Path = STDOUT) -> Iterator[None]:
    """Say which file could not be written, and that what was written is not whole."""
    try:
        yield
        if file == STDOUT:
            sys.stdout.flush()
    except OSError as error:
        if file == STDOUT:  # or the interpreter would complain again when it flushes at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        name = "the standard output" if file == STDOUT else file
        raise CommandError(
            ExitCode.FAILED, f"cannot write to {name}: {error.strerror}; there is no whole {what}"
        ) from error


_PIPE_WIDTH = 10_000
"""Columns when the output is no terminal: nothing is folded or cut."""


def console() -> Console:
    """Return a console on stdout."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def print_json(value: object) -> None:
    """Print one JSON value."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool
) -> None:
    """Print rows; `columns` maps a key to its heading. JSON has the same keys."""
    if as_json:
        print_json([{key: row[key] for key in columns} for row in rows])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in columns))
    console().print(table)


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


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
def progress(what: str, unit: str = "events", *, is_quiet: bool = False) -> Iterator[OnProgress]:
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
def _bar(what: str, unit: str) -> Iterator[OnProgress]:
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


def _lines(what: str, unit: str) -> OnProgress:
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
