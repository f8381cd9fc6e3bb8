"""`postwatch migrate`: makes the schema of a database, and brings it to this version."""

from __future__ import annotations

import click

from cli.exit_codes import ExitCode
from cli.failure import CommandError, exit_on_failure
from cli.settings import Settings
from cli.tables import print_json


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
        from domain.storage.postgres_engine import PostgresEngine  # noqa: PLC0415 - as said above

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
