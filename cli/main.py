"""The `postwatch` command. A sub-command's module is imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

_COMMANDS: Final = {
    "up": "cli.up:up",
    "init": "cli.init:init",
    "api": "cli.api:api",
    "projections": "cli.projections:projections",
    "checker": "cli.checker:checker",
    "token": "cli.tokens:token",
    "organization": "cli.organizations:organization",
    "customer": "cli.customers:customer",
    "check": "cli.check:check",
    "history": "cli.history:history",
    "demo": "cli.demo.command:demo",
}


class LazyGroup(click.Group):
    """Imports a command only when it is wanted: `postwatch check` starts without a web server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer meets them."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="postwatch", prog_name="postwatch")
def main() -> None:
    """Watch SMTP, IMAP and POP3 servers; keep every change and every check as an event.

    Settings are environment variables that begin with POSTWATCH_; docs/operations.md
    lists them, and the exit codes.
    """


if __name__ == "__main__":
    main()
