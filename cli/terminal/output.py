"""What commands print: rows as a table and lines for people, JSON for programs.

Every text passes through here, because names and replies of servers may contain what controls
a terminal: it is printed as escapes. JSON keys are camelCase, as in the API. Only `postwatch
check --json` has keys of its own.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from service.errors import CommandError, ExitCode
from service.visible_text import visible, visible_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console


STDOUT: Final = Path("-")

_PIPE_COLUMNS: Final = 10_000
"""Width where the output is no terminal: nothing is folded or cut."""


@contextmanager
def complete_output(what: str, file: Path = STDOUT) -> Iterator[None]:
    """Raise CommandError when writing fails, on a full disk, say.

    The message names the file, and `what` is incomplete.
    """
    try:
        yield
        if file == STDOUT:
            sys.stdout.flush()
    except OSError as error:
        if file == STDOUT:
            # Otherwise the interpreter reports the same error again when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        name = "the standard output" if file == STDOUT else file
        raise CommandError(
            ExitCode.FAILED,
            f"cannot write to {name}: {error.strerror}; the {what} is incomplete",
        ) from error


def console() -> Console:
    """Return a console on stdout."""
    # Imported here: a command that prints JSON or a plain line starts without it.
    from rich.console import Console  # noqa: PLC0415 - as said above

    return Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS, highlight=False)


def print_json(value: object) -> None:
    """Print one JSON value. What controls a terminal is escaped, which changes no value."""
    print(visible_lines(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()))


def print_line(text: str, *, error: bool = False) -> None:
    """Print one line on stdout, or on stderr."""
    print(visible(text), file=sys.stderr if error else sys.stdout)


def print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool
) -> None:
    """Print rows as a table, or as a JSON array.

    `columns` maps the key of each value in a row to its heading. The keys of the JSON are
    the same in camelCase. On a terminal that is too narrow for the table, each row is a
    block of lines instead, so that no id is cut.
    """
    if as_json:
        print_json([{camel_case(key): row[key] for key in columns} for row in rows])
        return
    cells = [[_cell(row[key]) for key in columns] for row in rows]
    _print_table(list(columns.values()), cells)


def camel_case(key: str) -> str:
    """Return the name in JSON of a key such as `public_id`: `publicId`."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), key)


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table  # noqa: PLC0415 - as in `console`
    from rich.text import Text  # noqa: PLC0415 - as in `console`

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    out = console()
    unlimited = out.options.update(max_width=_PIPE_COLUMNS)
    if out.measure(table, options=unlimited).maximum <= out.width:
        out.print(table)
    else:
        _print_blocks(out, headings, rows)


def _print_blocks(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table  # noqa: PLC0415 - as in `console`
    from rich.text import Text  # noqa: PLC0415 - as in `console`

    for number, row in enumerate(rows):
        block = Table.grid(padding=(0, 2, 0, 0))
        block.add_column(style="bold", no_wrap=True)
        block.add_column(overflow="fold")
        for heading, cell in zip(headings, row, strict=True):
            block.add_row(heading, Text(cell))
        if number:
            out.print()
        out.print(block)


def _cell(value: object) -> str:
    return "-" if value is None else visible(str(value))
