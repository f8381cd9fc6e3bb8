"""`postwatch api`: the REST API under gunicorn."""

from __future__ import annotations

import click

from cli.terminal.help import examples, exit_codes
from service import logging
from service.errors import exit_on_failure
from service.listening import refuse_address_in_use
from service.settings import Settings
from service.supervised_part import exit_with_supervisor, supervised_option


@click.command(
    epilog=examples("POSTWATCH_BIND=0.0.0.0:8025 POSTWATCH_WORKERS=4 postwatch api")
    + exit_codes("3  the store is missing or cannot be used", "6  the address is in use")
)
@supervised_option
def api(*, supervised_by: int | None) -> None:
    """Serve the REST API on POSTWATCH_BIND with POSTWATCH_WORKERS worker processes.

    SIGTERM ends it when the requests under way are answered, SIGINT at once.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        logging.configure(settings.log_level, settings.log_format)
        exit_with_supervisor(supervised_by)
        if supervised_by is None:
            refuse_address_in_use(settings)
        # Imported here: neither the help nor the checks above need a web server.
        from service.api_server import serve_api  # noqa: PLC0415

        serve_api(settings)
