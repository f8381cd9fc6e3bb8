"""`postwatch checks`: what becomes of old checks."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from cli.terminal.output import print_json, print_rows, progress
from cli.terminal.session import session
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import hold_part
from store.archiving import Archiver
from store.log_reader import LogReader

if TYPE_CHECKING:
    from cli.terminal.session import Session
    from store.archiving import ArchivingResult


_AGE: Final = re.compile(r"(\d{1,5})([hdw])")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@click.group()
def checks() -> None:
    """Keep old checks small."""


@checks.command()
@click.option("--older-than", required=True, help="An age: 30d, 12h, 8w.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def archive(older_than: str, *, as_json: bool) -> None:
    """Move checks that are older than an age to compressed files, while everything runs.

    They stay readable: for rebuilding, exporting, proving and showing. Ended anywhere, the
    next run goes on.
    """
    with exit_on_failure():
        age = _age(older_than)
    with session() as opened, hold_part(opened.store.engine.locks, "archive"):
        seen, head = _seen(opened)
        with progress("archiving", "positions") as report:
            moved = Archiver(opened.store, opened.actor, report=report).run(age, seen)
        _print(moved, opened, as_json=as_json)
    if seen < head:
        print(
            f"the views have read the checks up to position {seen} of {head}; nothing behind "
            "that is archived: `postwatch projections run` reads on (`postwatch projections "
            "status` shows how far it is); then run this again",
            file=sys.stderr,
        )


@checks.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def segments(*, as_json: bool) -> None:
    """List the files that hold archived checks."""
    with session() as opened:
        files = opened.store.archive.files
        rows = [
            {
                "first": each.first,
                "last": each.last,
                "events": each.events,
                "bytes": files.size_of(each.first, each.last),
                "digest": each.digest,
            }
            for each in opened.store.archive.segments()
        ]
    names = {"first": "First", "last": "Last", "events": "Checks", "bytes": "Bytes"}
    print_rows(rows, {**names, "digest": "Digest"}, as_json=as_json)


def _seen(opened: Session) -> tuple[int, int]:
    """Return the position that every view of the checks has read, and that of the newest."""
    projectors = opened.views.projectors.values()
    positions = [each.view.position() for each in projectors if each.log.name == "checks"]
    return min(positions), LogReader(opened.store.checks).head()


def _print(moved: ArchivingResult, opened: Session, *, as_json: bool) -> None:
    files = opened.store.archive.files
    if as_json:
        print_json(
            {
                "archived": moved.events,
                "segments": len(moved.segments),
                "bytes": moved.size,
                "pruned": moved.pruned,
                "archivedThrough": opened.store.archive.through(),
                "archiveBytes": files.size(),
            }
        )
        return
    each = f", {moved.size / moved.events:.1f} bytes each" if moved.events else ""
    print(
        f"archived {moved.events} checks in {len(moved.segments)} files{each}; took "
        f"{moved.pruned} out of the log; the archive has {files.size():,} bytes"
    )


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if not found or not int(found[1]):
        raise CommandError(
            ExitCode.USAGE,
            "--older-than wants a number and a unit: hours (12h), days (30d) or weeks (8w)",
        )
    return int(found[1]) * _UNITS[found[2]]
