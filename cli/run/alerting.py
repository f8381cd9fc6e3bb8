"""`postwatch alerting`: decides what is an incident and who is to hear of it."""

from __future__ import annotations

import click

from cli.terminal.help import examples, exit_codes
from service import logging
from service.errors import exit_on_failure
from service.settings import Settings
from service.supervised_part import exit_with_supervisor, supervised_option


@click.command(
    epilog=examples("POSTWATCH_DATA=/var/lib/postwatch postwatch alerting")
    + exit_codes("5  alerting already runs on the data folder")
)
@supervised_option
def alerting(*, supervised_by: int | None) -> None:
    """Decide what is an incident and plan who is to hear of it, until stopped.

    `postwatch up` runs this part, too. With PostgreSQL further processes stand by. On a new,
    imported or restored store it begins with the next check: nothing is decided on the past.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        logging.configure(settings.log_level, settings.log_format)
        exit_with_supervisor(supervised_by)
        # Imported here: the help needs no store.
        from service.alerting_process import keep_alerting  # noqa: PLC0415

        keep_alerting(settings, supervised_by)
