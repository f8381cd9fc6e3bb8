"""`postwatch keys`: the master key and the data keys that it wraps."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cli.terminal.output import print_json, print_rows, progress
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import hold_part, open_from_settings, warn_of_host_local_key
from service.settings import Settings
from store.files.data_folder import DataFolder
from store.keys.key_ring import DIGEST_KEY, SIGNING_KEY
from store.keys.master_keys import write_key_file
from store.keys.rotation import destroy_left_over, rotate
from store.keys.sealing import fingerprint, new_key


@click.group()
def keys() -> None:
    """Change the master key, and see which one is in use."""


@keys.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(*, as_json: bool) -> None:
    """Show which master key is in use, and how many data keys it wraps."""
    with exit_on_failure():
        settings = Settings.from_env()
        with open_from_settings(settings) as store:
            owners = set(store.keys.store.owners()) - {DIGEST_KEY, SIGNING_KEY}
            row = {
                "master_key": store.keys.store.master_fingerprint(),
                "from": str(store.master_keys.path)
                if store.master_keys.is_in_folder
                else "POSTWATCH_MASTER_KEY",
                "data_keys": len(owners),
            }
        warn_of_host_local_key(settings)
    if as_json:
        print_json(row)
        return
    print_rows(
        [row],
        {"master_key": "Master key", "from": "From", "data_keys": "Data keys"},
        as_json=False,
    )


@keys.command("rotate")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rotate_command(*, as_json: bool) -> None:
    """Change the master key while everything runs.

    Without a key in the settings a new one is made and kept in the data folder, and running
    processes find it by themselves. A key from the settings, or any key of a store in a
    database, is changed to the one in POSTWATCH_NEW_MASTER_KEY, which running processes must
    have been started with, on every host.

    Backups and exports made before need the key of their time: keep a copy of it.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        _refuse_key_of_one_host(settings)
        with (
            open_from_settings(settings) as store,
            hold_part(store.engine.locks, "keys-rotate"),
        ):
            with progress("wrapping keys anew", "keys") as report:
                done = rotate(store.keys.store, store.master_keys, report)
            swept = destroy_left_over(store.monitoring, store.keys)
            moved = store.master_keys.is_in_folder and settings.new_master_key is not None
            old_file = store.master_keys.path if moved else None
    if as_json:
        print_json({"before": done.before, "after": done.after, "keys": done.keys})
    else:
        print(f"master key {done.before} is changed to {done.after}: {done.keys} keys wrapped anew")
    if swept:
        print(f"{swept} left-over keys of deleted monitors are destroyed", file=sys.stderr)
    if settings.new_master_key is not None:
        print(
            "start every process again with POSTWATCH_MASTER_KEY set to the new key, and "
            "without POSTWATCH_NEW_MASTER_KEY",
            file=sys.stderr,
        )
    if old_file is not None and old_file.exists():
        print(f"{old_file} opens this store no more: put it away or remove it", file=sys.stderr)


def _refuse_key_of_one_host(settings: Settings) -> None:
    """Raise CommandError before a key is made that the other hosts of a database lack."""
    if settings.database is None or settings.new_master_key is not None:
        return
    stands = (
        f"stands in {DataFolder(settings.data).master_key}, the data folder of this host"
        if settings.master_key is None
        else "comes from POSTWATCH_MASTER_KEY"
    )
    raise CommandError(
        ExitCode.FAILED,
        f"the master key {stands}, and other hosts share {settings.database.place}: make a new "
        "one by `postwatch keys new FILE`, start every process on every host with "
        "POSTWATCH_NEW_MASTER_KEY_FILE naming it, and then run this again with it",
    )


@keys.command()
@click.argument("file", type=click.Path(path_type=Path))
def new(file: Path) -> None:
    """Make a master key and write it to FILE, which must not be there yet."""
    with exit_on_failure():
        key = new_key()
        write_key_file(file, key)
    print(f"master key {fingerprint(key)} is in {file}")
