"""`postwatch init` and `postwatch migrate`: create a store, and the schema of a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import click

from cli.terminal.help import examples, exit_codes
from cli.terminal.output import print_json, print_line
from domain.access_token import new_token
from projections.catalog import Views
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import create_from_settings, warn_of_host_local_key
from service.settings import Settings

ORGANIZATION: Final = "My organization"
CUSTOMER: Final = "My customer"


@dataclass(frozen=True, slots=True)
class FirstStart:
    """The result of `set_up`. `admin_token` is None unless a token was made just now."""

    is_first: bool
    admin_token: str | None


def set_up(settings: Settings) -> FirstStart:
    """Create the store with an organization, a customer and an admin token, unless it exists.

    Raises StoreError and MasterKeyError.
    """
    token = settings.admin_token or new_token()
    with create_from_settings(settings) as store:
        store.keys.signing_seed()  # So that the key exists from the first event on.
        is_first = store.monitoring.set_up(ORGANIZATION, CUSTOMER, token)
        with Views(store) as views:
            monitors = views.projector("monitors")
            # The projections process makes a missing view of a long log later.
            if monitors.is_current():
                monitors.catch_up()
    made = is_first and settings.admin_token is None
    return FirstStart(is_first, token if made else None)


@click.command(epilog=examples("POSTWATCH_DATA=/var/lib/postwatch postwatch init"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def init(*, as_json: bool) -> None:
    """Create the store with a first organization, customer and admin token.

    It is in the data folder POSTWATCH_DATA, or in the database POSTWATCH_DATABASE_URL after
    `postwatch migrate`. The token is printed once, unless POSTWATCH_ADMIN_TOKEN sets it.
    A store that exists stays as it is. `postwatch up` does the same by itself.
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
    print_line(f"store: {place} ({'created' if first.is_first else 'already there'})")
    if first.admin_token:
        print_line(f"admin token: {first.admin_token}")


@click.command(
    epilog=examples("postwatch migrate", "postwatch migrate --check")
    + exit_codes("0  the schema is up to date", "3  --check: the schema is old or missing")
)
@click.option("--check", is_flag=True, help="Change nothing; only report whether it is old.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def migrate(*, check: bool, as_json: bool) -> None:
    """Bring the schema of the database POSTWATCH_DATABASE_URL to this version.

    Only this command changes the schema; other commands refuse an old one. It is safe to
    run again, and on two hosts at once. The files of a data folder need no migration.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        if settings.database is None:
            raise CommandError(
                ExitCode.USAGE,
                "there is nothing to migrate: set POSTWATCH_DATABASE_URL to a PostgreSQL database",
            )
        # Imported here: `init` on files saves the time and memory of the driver.
        from store.postgres.engine import PostgresEngine  # noqa: PLC0415 - as said above

        engine = PostgresEngine(settings.database)
        try:
            if check:
                engine.require_store()
            # After a successful check this changes nothing.
            before, now = engine.migrate()
        finally:
            engine.close()
    if as_json:
        print_json({"database": settings.database.place, "before": before, "version": now})
    elif before == now:
        print_line(f"{settings.database.place}: schema version {now}, nothing to do")
    else:
        print_line(f"{settings.database.place}: schema version {before} -> {now}")
