"""`postwatch keys`: shows, creates and rotates the master key, which wraps the data keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.terminal.help import examples
from cli.terminal.output import print_json, print_line, print_rows
from cli.terminal.progress import progress
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import hold_part, open_from_settings, warn_of_host_local_key
from service.settings import Settings
from store.files.data_folder import DataFolder
from store.keys.key_ring import DIGEST_KEY, SIGNING_KEY
from store.keys.master_keys import write_key_file
from store.keys.rotation import destroy_left_over, rotate
from store.keys.sealing import fingerprint, new_key

if TYPE_CHECKING:
    from store.keys.rotation import RotationResult


@click.group()
def keys() -> None:
    """Show, create and rotate the master key."""


@keys.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(*, as_json: bool) -> None:
    """Show which master key is in use, where it is from, and how many data keys it wraps.

    The key itself is never shown, only its fingerprint.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        with open_from_settings(settings) as store:
            owners = set(store.keys.store.owners()) - {DIGEST_KEY, SIGNING_KEY}
            is_in_folder, path = store.master_keys.is_in_folder, store.master_keys.path
            row = {
                "masterKey": store.keys.store.master_fingerprint(),
                "from": str(path) if is_in_folder else "POSTWATCH_MASTER_KEY",
                "dataKeys": len(owners),
            }
        warn_of_host_local_key(settings)
    if as_json:
        print_json(row)
        return
    columns = {"masterKey": "Master key", "from": "From", "dataKeys": "Data keys"}
    print_rows([row], columns, as_json=False)


@keys.command(
    "rotate",
    epilog=examples(
        "postwatch keys rotate",
        "POSTWATCH_NEW_MASTER_KEY_FILE=/run/secrets/new-key postwatch keys rotate",
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rotate_command(*, as_json: bool) -> None:
    """Change the master key while everything runs.

    Without a key in the settings Postwatch makes a new one and keeps it in the data folder,
    where running processes find it by themselves. To change a key of the settings, or any
    key of a store in a database, set POSTWATCH_NEW_MASTER_KEY to the new one and start every
    process on every host with it before you run this command.

    Older backups and exports need the master key of their time: keep a copy of it.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        _refuse_host_local_key(settings)
        done = _rotate(settings)
    if as_json:
        print_json({"before": done.keys.before, "after": done.keys.after, "keys": done.keys.keys})
    else:
        print_line(
            f"master key {done.keys.before} is changed to {done.keys.after}: "
            f"{done.keys.keys} keys wrapped anew"
        )
    _print_next_steps(settings, done)


@dataclass(frozen=True, slots=True)
class _Done:
    """The result of a rotation; `old_file` holds a key that opens this store no more."""

    keys: RotationResult
    destroyed: int
    old_file: Path | None


def _refuse_host_local_key(settings: Settings) -> None:
    """Raise CommandError before a key is made that the other hosts of a database lack."""
    if settings.database is None or settings.new_master_key is not None:
        return
    origin = (
        f"is in {DataFolder(settings.data).master_key}, the data folder of this host"
        if settings.master_key is None
        else "comes from POSTWATCH_MASTER_KEY"
    )
    raise CommandError(
        ExitCode.FAILED,
        f"the master key {origin}, and other hosts share {settings.database.place}: make a new "
        "one by `postwatch keys new FILE`, start every process on every host with "
        "POSTWATCH_NEW_MASTER_KEY_FILE naming it, and then run this again with it",
    )


def _rotate(settings: Settings) -> _Done:
    with open_from_settings(settings) as store, hold_part(store.engine.locks, "keys-rotate"):
        with progress("wrapping keys anew", "keys") as report:
            rotation = rotate(store.keys.store, store.master_keys, report)
        destroyed = destroy_left_over(store.monitoring, store.keys)
        moved = store.master_keys.is_in_folder and settings.new_master_key is not None
        return _Done(rotation, destroyed, store.master_keys.path if moved else None)


def _print_next_steps(settings: Settings, done: _Done) -> None:
    if done.destroyed:
        print_line(f"{done.destroyed} left-over keys of deleted monitors are destroyed", error=True)
    if settings.new_master_key is not None:
        print_line(
            "next: start every process again with POSTWATCH_MASTER_KEY set to the new key, and "
            "without POSTWATCH_NEW_MASTER_KEY",
            error=True,
        )
    if done.old_file is not None and done.old_file.exists():
        print_line(
            f"{done.old_file} opens this store no more: put it away or remove it", error=True
        )


@keys.command(epilog=examples("postwatch keys new /root/postwatch-master.key"))
@click.argument("file", type=click.Path(path_type=Path))
def new(file: Path) -> None:
    """Make a master key and write it to FILE, readable by its owner only.

    FILE must not exist.
    """
    with exit_on_failure():
        key = new_key()
        write_key_file(file, key)
    print_line(f"master key {fingerprint(key)} is in {file}")
