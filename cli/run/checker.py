"""`postwatch checker`: watches the mail servers from one location."""

from __future__ import annotations

import click

from service import logging
from service.errors import exit_on_failure
from service.settings import Option, Settings
from service.supervised_part import exit_with_supervisor, supervised_option


@click.command()
@click.option("--location", metavar="CODE", help="Where it stands, such as de-nbg.")
@click.option("--name", metavar="NAME", help='The name of that place, such as "Nuremberg (DE)".')
@click.option("--country", metavar="CODE", help="Its country, by ISO 3166-1, such as DE.")
@supervised_option
def checker(
    *, location: str | None, name: str | None, country: str | None, supervised_by: int | None
) -> None:
    """Check the monitors of the store on schedule until stopped.

    The options win over POSTWATCH_LOCATION, POSTWATCH_LOCATION_NAME and POSTWATCH_COUNTRY.
    With a PostgreSQL store any number of checkers share the monitors of one location, which
    must be named. A retired location that is named is in use again.

    SIGTERM lets running checks finish; a second one breaks them off.
    """
    options = {
        "POSTWATCH_LOCATION": Option("--location", location),
        "POSTWATCH_LOCATION_NAME": Option("--name", name),
        "POSTWATCH_COUNTRY": Option("--country", country),
    }
    with exit_on_failure():
        settings = Settings.from_env(options=options)
        logging.configure(settings.log_level, settings.log_format)
        exit_with_supervisor(supervised_by)
        # Imported here: `postwatch checker --help` needs no event loop and no resolver.
        from service.checker_process import watch  # noqa: PLC0415

        watch(settings, supervised_by)
