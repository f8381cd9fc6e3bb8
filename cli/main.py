"""The `postwatch` command. The module of a sub-command is imported when that is called."""

from __future__ import annotations

import os
from typing import Final

import click

from cli.terminal.help import examples
from cli.terminal.lazy_group import LazyGroup

_SECTIONS: Final = {
    "Run": {
        "up": ("cli.run.up:up", "Run all parts on this machine."),
        "demo": ("cli.demo.command:demo", "Watch example mail servers, healthy and broken."),
        "init": ("cli.run.init:init", "Create the store, a first customer and an admin token."),
        "migrate": ("cli.run.init:migrate", "Bring the schema of a database to this version."),
        "api": ("cli.run.api:api", "Serve the REST API."),
        "projections": ("cli.run.projections:projections", "Run, rebuild and verify the views."),
        "checker": ("cli.run.checker:checker", "Check the mail servers from one location."),
        "alerting": ("cli.run.alerting:alerting", "Decide what is an incident."),
    },
    "Inspect": {
        "status": ("cli.inspect.monitors:status", "Say what is down, since when and why."),
        "check": ("cli.inspect.check:check", "Check one mail server now, without a store."),
        "history": ("cli.inspect.history:history", "Show who changed a monitor, when and how."),
        "uptime": ("cli.inspect.history:uptime_of", "Show how long a monitor was up and down."),
        "replay": ("cli.inspect.history:replay_command", "Print the configuration as it was."),
        "log": ("cli.inspect.log:log", "Verify, prove, export and import the logs."),
        "fleet": ("cli.manage.fleet:fleet", "Show the checkers that run, and their load."),
    },
    "Manage": {
        "monitor": ("cli.manage.monitors:monitor", "List, show, add and change monitors."),
        "organization": ("cli.manage.customers:organization", "Create and list organizations."),
        "customer": ("cli.manage.customers:customer", "Create and list customers."),
        "token": ("cli.manage.tokens:token", "Create, list and revoke access tokens."),
        "location": ("cli.manage.locations:location", "List and retire locations of checkers."),
        "incident": ("cli.manage.incidents:incident", "Show, acknowledge and close incidents."),
        "keys": ("cli.manage.keys:keys", "Show, create and rotate the master key."),
    },
    "Keep": {
        "backup": ("cli.transfer.backup:backup", "Copy the store while everything runs."),
        "restore": ("cli.transfer.backup:restore", "Create the store from a backup."),
        "checks": ("cli.transfer.archive:checks", "Archive old checks in compressed files."),
    },
}


@click.group(
    cls=LazyGroup,
    sections=_SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "postwatch demo",
        "POSTWATCH_DATA=./data postwatch up",
        "postwatch check smtp smtp.example.com --port 587 --require-tls",
    ),
)
@click.version_option(package_name="postwatch", prog_name="postwatch")
def main() -> None:
    """Watch mail servers; record every change and every check as an event.

    Settings are environment variables that begin with POSTWATCH_, such as POSTWATCH_DATA,
    the data folder (default: ./data). docs/operations.md lists all settings and exit codes;
    an installation has it in share/doc/postwatch of its environment.
    """
    # Files of the store are for their owner alone, also those that SQLite makes.
    before = os.umask(0o077)
    click.get_current_context().call_on_close(lambda: os.umask(before))


if __name__ == "__main__":
    main()
