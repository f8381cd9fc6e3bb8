"""Rows on stdout: a table for people, JSON for machines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
