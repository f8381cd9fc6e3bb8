"""`postwatch init`: makes the store, and with it the first organization and admin.

`postwatch migrate`: makes the schema of a database, and brings it to this version.
"""

from __future__ import annotations

from dataclasses import dataclass

import click

from cli.terminal.output import print_json
from domain.access_token import new_token
from projections.catalog import Views
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import create_from_settings, warn_of_host_local_key
from service.settings import Settings

ORGANIZATION = "My organization"
CUSTOMER = "My customer"


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What a start made. `admin_token` is None unless a token was made just now."""

    is_first: bool
    admin_token: str | None


def set_up(settings: Settings) -> FirstStart:
    """Make the store, and what the first caller needs, unless they are there already.

    Raises StoreError and MasterKeyError.
    """
    token = settings.admin_token or new_token()
    with create_from_settings(settings) as store:
        store.keys.signing_seed()  # The key is there from the first event on.
        is_first = store.monitoring.set_up(ORGANIZATION, CUSTOMER, token)
        with Views(store) as views:
            monitors = views.projector("monitors")
            # A missing view of a long log is made later, by the projections process.
            if monitors.is_current():
                monitors.catch_up()
    made = is_first and settings.admin_token is None
    return FirstStart(is_first, token if made else None)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def init(*, as_json: bool) -> None:
    """Make the store in the data folder, with a first organization, customer and admin token.

    With POSTWATCH_DATABASE_URL in the database, where `postwatch migrate` ran.
    `postwatch up` does this by itself. In a store that exists nothing is changed.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        first = set_up(settings)
        warn_of_host_local_key(settings)
    if as_json:
        print_json(
            {
                "data": None if settings.database else str(settings.data),
                "database": settings.database.place if settings.database else None,
                "created": first.is_first,
                "adminToken": first.admin_token,
            }
        )
        return
    place = settings.database.place if settings.database else settings.data
    print(f"store: {place} ({'created' if first.is_first else 'already there'})")
    if first.admin_token:
        print(f"admin token: {first.admin_token}")


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; end with exit code 3 when it is old.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def migrate(*, check: bool, as_json: bool) -> None:
    """Make the schema in the database POSTWATCH_DATABASE_URL, or bring it to this version.

    Nothing else ever changes it: other commands refuse to work with an old one. Safe to
    run again, and by two at once. Files of SQLite need no migration.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        if settings.database is None:
            raise CommandError(
                ExitCode.USAGE,
                "there is nothing to migrate: set POSTWATCH_DATABASE_URL to a PostgreSQL database",
            )
        # Only here: other commands do without the driver's time and memory.
        from store.postgres.engine import PostgresEngine  # noqa: PLC0415 - as said above

        engine = PostgresEngine(settings.database)
        try:
            if check:
                engine.require_store()
            # Behind a check there is nothing left to change.
            before, now = engine.migrate()
        finally:
            engine.close()
    if as_json:
        print_json({"database": settings.database.place, "before": before, "version": now})
    elif before == now:
        print(f"{settings.database.place}: schema version {now}, nothing to do")
    else:
        print(f"{settings.database.place}: schema version {before} -> {now}")
