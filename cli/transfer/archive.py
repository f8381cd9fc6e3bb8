"""`postwatch checks`: archives old checks in compressed files, and lists these."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from cli.terminal.help import examples
from cli.terminal.output import print_json, print_line, print_rows
from cli.terminal.progress import progress
from cli.terminal.session import operator_session
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import hold_part
from store.archiving import Archiver
from store.log_reader import LogReader

if TYPE_CHECKING:
    from cli.terminal.session import OperatorSession
    from store.archiving import ArchivingResult


_AGE: Final = re.compile(r"(\d{1,5})([hdw])")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@click.group()
def checks() -> None:
    """Archive old checks in compressed files, and list these files."""


@checks.command(epilog=examples("postwatch checks archive --older-than 30d"))
@click.option(
    "--older-than",
    required=True,
    metavar="AGE",
    help="Archive checks of this age: a number of hours (12h), days (30d) or weeks (8w).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def archive(older_than: str, *, as_json: bool) -> None:
    """Move checks that are older than AGE to compressed files, while everything runs.

    Rebuilds, exports, proofs and the API still read them. The next run resumes one that was
    interrupted.
    """
    with exit_on_failure():
        age = _age(older_than)
    with operator_session() as opened, hold_part(opened.store.engine.locks, "archive"):
        seen, head = _seen(opened)
        with progress("archiving", "positions") as report:
            moved = Archiver(opened.store, opened.actor, report=report).run(age, seen)
        _print(moved, opened, as_json=as_json)
    if seen < head:
        print_line(
            f"views and alerting have read the checks up to position {seen} of {head}; no later "
            "check is archived: let `postwatch projections run` and `postwatch alerting` catch up "
            "(`postwatch projections status` shows the lag of views), then run this again",
            error=True,
        )


@checks.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def segments(*, as_json: bool) -> None:
    """List the files of archived checks: first and last position, checks, bytes, digest."""
    with operator_session() as opened:
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


def _seen(opened: OperatorSession) -> tuple[int, int]:
    """Return the position that views and alerting have read, and the head of the log."""
    read = [each.position_in("checks") for each in opened.views.projectors.values()]
    positions = [each for each in read if each is not None]
    decided = opened.store.incidents.tracked("checks")
    if decided is not None:
        positions.append(decided)
    return min(positions), LogReader(opened.store.checks).head()


def _print(moved: ArchivingResult, opened: OperatorSession, *, as_json: bool) -> None:
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
    print_line(
        f"archived {moved.events} checks in {len(moved.segments)} files{each}; removed "
        f"{moved.pruned} from the log; the archive has {files.size():,} bytes"
    )


def _age(text: str) -> timedelta:
    found = _AGE.fullmatch(text)
    if not found or not int(found[1]):
        raise CommandError(
            ExitCode.USAGE,
            "--older-than must be a number and a unit: hours (12h), days (30d) or weeks (8w)",
        )
    return int(found[1]) * _UNITS[found[2]]
