"""`postwatch log`: the log itself. Each command stands in a module of its own."""

from __future__ import annotations

from typing import Final

import click

from cli.lazy_group import LazyGroup

_COMMANDS: Final[dict[str, str]] = {}


@click.group(cls=LazyGroup, table=_COMMANDS)
def log() -> None:
    """Prove that the log is whole, and carry it elsewhere."""
