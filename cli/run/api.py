"""`postwatch api`: the REST API under gunicorn."""

from __future__ import annotations

import click

from service import logging
from service.errors import exit_on_failure
from service.listening import refuse_address_in_use
from service.settings import Settings
from service.supervised_part import exit_with_supervisor, supervised_option


@click.command()
@supervised_option
def api(*, supervised_by: int | None) -> None:
    """Serve the REST API on POSTWATCH_BIND with POSTWATCH_WORKERS workers."""
    with exit_on_failure():
        settings = Settings.from_env()
        logging.configure(settings.log_level, settings.log_format)
        exit_with_supervisor(supervised_by)
        if supervised_by is None:
            refuse_address_in_use(settings)
        # Imported here: `postwatch api --help` and a refusal above need no web server.
        from service.api_server import serve_api  # noqa: PLC0415

        serve_api(settings)
