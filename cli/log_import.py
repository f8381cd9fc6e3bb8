"""`postwatch log import`: a store from the lines of an export."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from cli.exit_codes import ExitCode
from cli.failure import CommandError, exit_on_failure
from cli.opening import tell_of_key_of_one_host
from cli.progress import progress
from cli.settings import Settings
from domain.errors import MasterKeyError
from domain.master_keys import read_key_file
from domain.transfer.fresh_folder import refuse_unless_empty
from domain.transfer.importing import ImportKey, import_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

MAKES_VIEWS: Final = (
    "next: start `postwatch up` or `postwatch projections run`, which makes the views; other "
    "commands make the views that they need"
)
"""What to do with a store that was just made, which has no views yet."""

_STDIN: Final = Path("-")

master_key_option = click.option(
    "--master-key-file",
    type=click.Path(path_type=Path),
    help="The master key that it was made for; the data folder keeps a copy.",
)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@master_key_option
def import_command(file: Path, master_key_file: Path | None) -> None:
    """Make the store that the export FILE (- is stdin) describes in an empty data folder.

    With POSTWATCH_DATABASE_URL in an empty database, where `postwatch migrate` ran.
    All or nothing: when anything is wrong folder and database stay as they were.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        if settings.database is None:
            refuse_unless_empty(settings.data)
        with naming_the_option():
            key = given_master_key(settings, master_key_file)
            with _input(file) as opened, progress("importing", "positions") as report:
                done = import_lines(opened, settings.data, key, report, database=settings.database)
    counts = ", ".join(f"{number} {log}" for log, number in done.events.items())
    place = settings.database.place if settings.database else settings.data
    print(f"imported {counts} events and {done.keys} keys into {place}")
    print(MAKES_VIEWS, file=sys.stderr)
    tell_of_key_of_one_host(settings)


def given_master_key(settings: Settings, file: Path | None) -> ImportKey:
    """Return the master key that a new store is to have. Raises MasterKeyError, StoreError."""
    if file is not None:
        key = read_key_file(file)
        if settings.master_key not in (None, key):
            raise CommandError(
                ExitCode.USAGE,
                f"{file} and POSTWATCH_MASTER_KEY are different keys; name one of them",
            )
        return ImportKey(key, is_kept=settings.master_key is None)
    if settings.master_key is not None:
        return ImportKey(settings.master_key, is_kept=False)
    raise MasterKeyError("no master key is given")


@contextmanager
def naming_the_option() -> Iterator[None]:
    """Say of a wrong master key which option names the right one. Raises CommandError."""
    try:
        yield
    except MasterKeyError as error:
        raise CommandError(
            ExitCode.MASTER_KEY_WRONG,
            f"{error}; name the file of the right one with --master-key-file",
        ) from error


@contextmanager
def _input(file: Path) -> Iterator[BinaryIO]:
    if file == _STDIN:
        yield sys.stdin.buffer
        return
    try:
        opened = file.open("rb")
    except OSError as error:
        raise CommandError(ExitCode.FAILED, f"cannot read {file}: {error.strerror}") from error
    with opened:
        yield opened
