"""A group of commands that imports the module of a command only when that is called."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class LazyGroup(click.Group):
    """Imports the module of a command when the command is called.

    `sections` maps a heading of `--help` to its commands, and each command to its `module:name`
    and its line in the help, so that the help needs no import. This module does not use
    typing_extensions, whose import would add a tenth to the start of `postwatch --version`.
    """

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - click's own
        sections: Mapping[str, Mapping[str, tuple[str, str]]],
        **options: Any,  # noqa: ANN401 - click's own
    ) -> None:
        super().__init__(*arguments, **options)
        self._sections = sections
        self._places = {
            name: place for commands in sections.values() for name, (place, _) in commands.items()
        }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands in the order of the sections."""
        del ctx
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of this name."""
        del ctx
        if cmd_name not in self._places:
            return None
        module, _, name = self._places[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under the headings of their sections."""
        del ctx
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name, summary) for name, (_, summary) in commands.items()])
