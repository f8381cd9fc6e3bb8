"""The `postwatch` command. A sub-command's module is imported when it is called."""

from __future__ import annotations

from typing import Final

import click

from cli.lazy_group import LazyGroup

_COMMANDS: Final = {
    "up": "cli.up:up",
    "init": "cli.init:init",
    "migrate": "cli.migrate:migrate",
    "api": "cli.api:api",
    "projections": "cli.projections:projections",
    "checker": "cli.checker:checker",
    "fleet": "cli.fleet:fleet",
    "location": "cli.location:location",
    "token": "cli.tokens:token",
    "organization": "cli.organizations:organization",
    "customer": "cli.customers:customer",
    "check": "cli.check:check",
    "history": "cli.history:history",
    "replay": "cli.replay:command",
    "uptime": "cli.uptime:uptime_of",
    "log": "cli.log:log",
    "checks": "cli.checks:checks",
    "keys": "cli.keys:keys",
    "backup": "cli.backup:backup",
    "restore": "cli.backup:restore",
    "demo": "cli.demo.command:demo",
}


@click.group(
    cls=LazyGroup, table=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="postwatch", prog_name="postwatch")
def main() -> None:
    """Watch SMTP, IMAP and POP3 servers; keep every change and every check as an event.

    Settings are environment variables that begin with POSTWATCH_; docs/operations.md
    lists them, and the exit codes.
    """


if __name__ == "__main__":
    main()
