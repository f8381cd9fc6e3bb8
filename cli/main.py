"""The `postwatch` command. A sub-command's module is imported when it is called."""

from __future__ import annotations

from typing import Final

import click

from cli.terminal.lazy_group import LazyGroup

_COMMANDS: Final = {
    "up": "cli.run.up:up",
    "init": "cli.run.init:init",
    "migrate": "cli.run.init:migrate",
    "api": "cli.run.api:api",
    "projections": "cli.run.projections:projections",
    "checker": "cli.run.checker:checker",
    "fleet": "cli.manage.locations:fleet",
    "location": "cli.manage.locations:location",
    "token": "cli.manage.tokens:token",
    "organization": "cli.manage.customers:organization",
    "customer": "cli.manage.customers:customer",
    "check": "cli.inspect.check:check",
    "history": "cli.inspect.history:history",
    "replay": "cli.inspect.history:command",
    "uptime": "cli.inspect.history:uptime_of",
    "log": "cli.inspect.log:log",
    "checks": "cli.transfer.archive:checks",
    "keys": "cli.manage.keys:keys",
    "backup": "cli.transfer.backup:backup",
    "restore": "cli.transfer.backup:restore",
    "demo": "cli.demo.command:demo",
}


@click.group(
    cls=LazyGroup, table=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="postwatch", prog_name="postwatch")
def main() -> None:
    """Watch SMTP, IMAP, POP3 and ManageSieve servers; record every change and check as an event.

    Settings are environment variables that begin with POSTWATCH_; docs/operations.md
    lists them, and the exit codes.
    """


if __name__ == "__main__":
    main()
