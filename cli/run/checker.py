"""`postwatch checker`: watches the mail servers from one location."""

from __future__ import annotations

import click

from cli.terminal.help import examples, exit_codes
from service import logging
from service.errors import exit_on_failure
from service.settings import Option, Settings
from service.supervised_part import exit_with_supervisor, supervised_option


@click.command(
    epilog=examples('postwatch checker --location de-nbg --name "Nuremberg (DE)" --country DE')
    + exit_codes("5  a checker of this location already runs on the data folder")
)
@click.option(
    "--location",
    metavar="CODE",
    help="Code of its location: lower-case letters, digits and hyphens, such as de-nbg.",
)
@click.option("--name", metavar="NAME", help='Name of the location, such as "Nuremberg (DE)".')
@click.option(
    "--country",
    metavar="CODE",
    help="Country of the location (ISO 3166-1, two letters), such as DE. Monitors may be "
    "limited to countries.",
)
@supervised_option
def checker(
    *, location: str | None, name: str | None, country: str | None, supervised_by: int | None
) -> None:
    """Check the monitors of the store on schedule, from one location, until stopped.

    The options override POSTWATCH_LOCATION, POSTWATCH_LOCATION_NAME and POSTWATCH_COUNTRY.
    With PostgreSQL any number of checkers share the monitors of a location, which must be
    named. Naming a retired location brings it back.

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
        # Imported here: the help needs neither an event loop nor a resolver.
        from service.checker_process import watch  # noqa: PLC0415

        watch(settings, supervised_by)
