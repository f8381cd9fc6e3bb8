"""`postwatch backup` and `postwatch restore`: copies of the files of a store."""

from __future__ import annotations

from pathlib import Path

import click

from cli.terminal.help import examples, exit_codes
from cli.terminal.output import print_line
from cli.terminal.progress import progress
from cli.transfer.export_import import (
    MAKES_VIEWS,
    given_master_key,
    master_key_option,
    naming_key_option,
)
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import archiving_held_back, open_from_settings
from service.settings import Settings
from store.transfer.backup import make_backup, restore_backup


@click.command(epilog=examples("postwatch backup /backup/postwatch-2026-01-31"))
@click.argument("destination", type=click.Path(path_type=Path))
@click.option(
    "--with-master-key",
    is_flag=True,
    help="Also copy the master key: anyone who has the backup can then read every password.",
)
def backup(destination: Path, *, with_master_key: bool) -> None:
    """Copy the store to the empty folder DESTINATION while everything runs.

    For a store in files; PostgreSQL's own tools back up a database. The copy does not
    contain the master key. Keep that elsewhere: without it no stored password can be read.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        _refuse_database(settings, "pg_dump or pg_basebackup copies it")
        with (
            open_from_settings(settings) as store,
            archiving_held_back(store.engine.locks),
            progress("copying", "pages") as report,
        ):
            made = make_backup(store, destination, with_master_key=with_master_key, report=report)
            fingerprint = store.keys.store.master_fingerprint()
    if with_master_key:
        print_line(
            "warning: the backup holds the master key; anyone who has the backup can read every "
            "stored password",
            error=True,
        )
    else:
        print_line(f"the backup needs master key {fingerprint}, which is not in it", error=True)
    print_line(f"backup: {destination} ({len(made.files)} files, {made.size:,} bytes)")


@click.command(
    epilog=examples(
        "POSTWATCH_DATA=./restored postwatch restore /backup/postwatch-2026-01-31 "
        "--master-key-file key",
    )
    + exit_codes("4  the master key is wrong or missing", "9  the backup is damaged")
)
@click.argument("source", type=click.Path(path_type=Path))
@master_key_option
def restore(source: Path, master_key_file: Path | None) -> None:
    """Create the store of the backup SOURCE in the empty data folder POSTWATCH_DATA.

    Every file is verified first. If anything is wrong, the data folder stays as it was.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        _refuse_database(settings, "pg_restore brings back what pg_dump wrote")
        with naming_key_option():
            key = (
                given_master_key(settings, master_key_file)
                if master_key_file or settings.master_key
                else None
            )
            restore_backup(source, settings.data, key)
    print_line(f"restored {source} into {settings.data}")
    print_line(MAKES_VIEWS, error=True)


def _refuse_database(settings: Settings, tool: str) -> None:
    if settings.database is not None:
        raise CommandError(
            ExitCode.USAGE,
            f"the store is in {settings.database.place}, not in files: {tool}; keep the master "
            "key with it, and apart (docs/postgresql.md has the commands)",
        )
