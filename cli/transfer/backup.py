"""`postwatch backup` and `postwatch restore`: copies of the store's files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cli.terminal.output import progress
from cli.transfer.export_import import (
    MAKES_VIEWS,
    given_master_key,
    master_key_option,
    naming_the_option,
)
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import open_from_settings
from service.settings import Settings
from store.transfer.backup import make_backup, restore_backup


@click.command()
@click.argument("destination", type=click.Path(path_type=Path))
@click.option(
    "--with-master-key",
    is_flag=True,
    help="Also copy the master key: whoever has the backup can then read every password.",
)
def backup(destination: Path, *, with_master_key: bool) -> None:
    """Copy the store to the empty folder DESTINATION while everything runs.

    For a store of files: a database is backed up by PostgreSQL's own tools.
    The master key is not in the copy; keep it elsewhere, without it no stored password can
    be read.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        _refuse_database(settings, "pg_dump or pg_basebackup copies it")
        with (
            open_from_settings(settings) as store,
            progress("copying", "pages") as report,
        ):
            made = make_backup(store, destination, with_master_key=with_master_key, report=report)
            fingerprint = store.keys.store.master_fingerprint()
    if with_master_key:
        print(
            "warning: the backup holds the master key; whoever has it can read every stored "
            "password",
            file=sys.stderr,
        )
    else:
        print(f"the backup needs master key {fingerprint}, which is not in it", file=sys.stderr)
    print(f"backup: {destination} ({len(made.files)} files, {made.size:,} bytes)")


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@master_key_option
def restore(source: Path, master_key_file: Path | None) -> None:
    """Make the store that the backup SOURCE holds in an empty data folder.

    Every file is checked before anything is put in its place; when anything is wrong the
    folder POSTWATCH_DATA stays as it was.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        _refuse_database(settings, "pg_restore brings back what pg_dump wrote")
        with naming_the_option():
            key = (
                given_master_key(settings, master_key_file)
                if master_key_file or settings.master_key
                else None
            )
            restore_backup(source, settings.data, key)
    print(f"restored {source} into {settings.data}")
    print(MAKES_VIEWS, file=sys.stderr)


def _refuse_database(settings: Settings, tool: str) -> None:
    if settings.database is not None:
        raise CommandError(
            ExitCode.USAGE,
            f"the store is in {settings.database.place}, not in files: {tool}; keep the master "
            "key with it, and apart (docs/postgresql.md has the commands)",
        )
