"""`postwatch log export`: the whole store as lines of JSON."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
import orjson

from cli.exit_codes import ExitCode
from cli.failure import CommandError, exit_on_failure
from cli.opening import opened_store
from cli.output import STDOUT, whole
from cli.progress import progress
from cli.settings import Settings
from domain.master_keys import read_key_file
from domain.transfer.exporting import export_lines

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path), default=STDOUT)
@click.option(
    "--new-master-key-file",
    type=click.Path(path_type=Path),
    help="Wrap the keys in the export by the master key in this file.",
)
def export(file: Path, new_master_key_file: Path | None) -> None:
    """Write both logs and the wrapped keys to FILE (- is stdout) while everything runs.

    Passwords stay sealed. The export is for the master key of this store, or for another
    one: `postwatch keys new FILE` makes one.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        new = None if new_master_key_file is None else read_key_file(new_master_key_file)
        with (
            opened_store(settings) as store,
            _output(file) as output,
            progress("exporting", "positions") as report,
        ):
            line = b""
            for line in export_lines(store, new, report):
                output.write(line)
    end = orjson.loads(line)["end"]
    counts = ", ".join(f"{number} {log}" for log, number in end["events"].items())
    print(
        f"exported {counts} events and {end['keys']} keys; SHA-256 {end['sha256']}", file=sys.stderr
    )


@contextmanager
def _output(file: Path) -> Iterator[BinaryIO]:
    """Open what is written to. A file bears its name only when it is whole."""
    if file == STDOUT:
        with whole("export"):
            yield sys.stdout.buffer
        return
    if file.exists():
        raise CommandError(ExitCode.FAILED, f"{file} is there already; name another file")
    partial = file.with_name(f"{file.name}.partial")
    try:
        with whole("export", file):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with os.fdopen(os.open(partial, flags, 0o600), "wb") as opened:
                yield opened
                opened.flush()
                os.fsync(opened.fileno())
            partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)
