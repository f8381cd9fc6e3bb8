"""`postwatch log`: the log itself. Each command stands in a module of its own."""

from __future__ import annotations

from typing import Final

import click

from cli.lazy_group import LazyGroup

_COMMANDS: Final = {
    "verify": "cli.log_verify:verify_log",
    "head": "cli.log_head:head",
    "prove": "cli.log_prove:prove",
    "public-key": "cli.log_head:public_key",
    "export": "cli.log_export:export",
    "import": "cli.log_import:import_command",
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def log() -> None:
    """Prove that the log is whole, and carry it elsewhere."""
