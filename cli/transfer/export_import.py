"""`postwatch log export` and `import`: the whole store as lines of JSON (docs/export.md)."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click
import orjson

from cli.terminal.help import examples, exit_codes
from cli.terminal.output import STDOUT, complete_output, print_line
from cli.terminal.progress import progress
from domain.errors import MasterKeyError
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import (
    archiving_held_back,
    open_from_settings,
    warn_of_host_local_key,
)
from service.settings import Settings
from store.files.staging_folder import refuse_unless_empty
from store.keys.master_keys import read_key_file
from store.transfer.export import export_lines
from store.transfer.restore_log import ImportKey, import_lines

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command(
    "export",
    epilog=examples("postwatch log export store.jsonl", "postwatch log export | xz > s.xz"),
)
@click.argument("file", type=click.Path(path_type=Path), default=STDOUT)
@click.option(
    "--new-master-key-file",
    type=click.Path(path_type=Path),
    metavar="KEYFILE",
    help="Wrap the keys in the export with the master key in KEYFILE, not with the store's.",
)
def export(file: Path, new_master_key_file: Path | None) -> None:
    """Write all logs and the wrapped keys to FILE (default: stdout) while everything runs.

    FILE must not exist. Passwords stay sealed: an import needs the master key of this
    store, or the one in KEYFILE, which `postwatch keys new` makes.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        new = None if new_master_key_file is None else read_key_file(new_master_key_file)
        with (
            open_from_settings(settings) as store,
            archiving_held_back(store.engine.locks),
            _output(file) as output,
            progress("exporting", "positions") as report,
        ):
            line = b""
            for line in export_lines(store, new, report):
                output.write(line)
    end = orjson.loads(line)["end"]
    counts = ", ".join(f"{number} {log}" for log, number in end["events"].items())
    print_line(
        f"exported {counts} events and {end['keys']} keys; SHA-256 {end['sha256']}", error=True
    )


@contextmanager
def _output(file: Path) -> Iterator[BinaryIO]:
    """Open the output. A file gets its name only when it is complete."""
    if file == STDOUT:
        with complete_output("export"):
            yield sys.stdout.buffer
        return
    if file.exists():
        raise CommandError(ExitCode.FAILED, f"{file} exists already; name another file")
    partial = file.with_name(f"{file.name}.partial")
    try:
        # Never a file or link that is there already: another account may have put it there.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(
            ExitCode.FAILED,
            f"{partial} exists: another export writes it, or was interrupted; remove it in the "
            "second case",
        ) from None
    except OSError as error:
        raise CommandError(ExitCode.FAILED, f"cannot write to {file}: {error.strerror}") from error
    try:
        with complete_output("export", file):
            with os.fdopen(descriptor, "wb") as opened:
                yield opened
                opened.flush()
                os.fsync(opened.fileno())
            partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)


MAKES_VIEWS: Final = (
    "next: start `postwatch up` or `postwatch projections run`, which makes the views; other "
    "commands make the views that they need"
)
"""The next step after a new store, which has no views yet."""

_STDIN: Final = Path("-")

master_key_option = click.option(
    "--master-key-file",
    type=click.Path(path_type=Path),
    metavar="KEYFILE",
    help="File with the master key that it was made for; the data folder keeps a copy.",
)


@click.command(
    "import",
    epilog=examples("POSTWATCH_DATA=./new postwatch log import store.jsonl --master-key-file key")
    + exit_codes("4  the master key is wrong or missing", "9  the export is damaged"),
)
@click.argument("file", type=click.Path(path_type=Path))
@master_key_option
def import_command(file: Path, master_key_file: Path | None) -> None:
    """Create the store of the export FILE (- is stdin) in the empty data folder POSTWATCH_DATA.

    With POSTWATCH_DATABASE_URL in an empty database, after `postwatch migrate`. If anything
    is wrong, folder and database stay as they were.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        if settings.database is None:
            refuse_unless_empty(settings.data)
        with naming_key_option():
            key = given_master_key(settings, master_key_file)
            with _input(file) as opened, progress("importing", "positions") as report:
                done = import_lines(opened, settings.data, key, report, database=settings.database)
    counts = ", ".join(f"{number} {log}" for log, number in done.events.items())
    place = settings.database.place if settings.database else settings.data
    print_line(f"imported {counts} events and {done.keys} keys into {place}")
    print_line(MAKES_VIEWS, error=True)
    warn_of_host_local_key(settings)


def given_master_key(settings: Settings, file: Path | None) -> ImportKey:
    """Return the master key of a new store. Raises MasterKeyError, StoreError, CommandError."""
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
def naming_key_option() -> Iterator[None]:
    """Turn the error of a wrong master key into a CommandError that names the option."""
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
