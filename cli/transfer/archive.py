"""`postwatch checks`: archives old checks in compressed files, and lists these."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import click

from cli.terminal.help import examples
from cli.terminal.output import print_json, print_line, print_rows
from cli.terminal.progress import progress
from cli.terminal.session import operator_session
from domain.actor import ARCHIVER
from projections.catalog import Views
from projections.consumers import slowest_consumer
from service.ages import parse_age
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import open_from_settings
from service.settings import Settings
from service.supervised_part import exit_with_supervisor, supervised_option
from store.archiving import ARCHIVE_LOCK, Archiver
from store.log_reader import LogReader
from store.ports.locks import LockHeldError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from cli.terminal.session import OperatorSession
    from store.archiving import ArchivingResult
    from store.store import Store


_NICENESS: Final = 10
"""Archiving by itself gets a tenth of a core that others want, so it never stands still."""


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
    with operator_session() as opened, _archiving_alone(opened.store):
        slowest = slowest_consumer(opened.store, opened.views)
        head = LogReader(opened.store.checks).head()
        with progress("archiving", "positions") as report:
            moved = Archiver(opened.store, opened.actor, report=report).run(age, slowest.position)
        _print(moved, opened, as_json=as_json)
    if slowest.position < head:
        print_line(
            f"{slowest.name} has read the checks up to position {slowest.position} of {head}; no "
            "later check is archived: let `postwatch projections run` and `postwatch alerting` "
            "catch up (`postwatch projections status` shows the lag of views), then run this again",
            error=True,
        )


@checks.command("archive-next", hidden=True)
@supervised_option
def archive_next(*, supervised_by: int | None) -> None:
    """Archive the next segment if it is due; the projections process runs this by itself."""
    os.nice(_NICENESS)
    with exit_on_failure():
        exit_with_supervisor(supervised_by)
        settings = Settings.from_env()
        if settings.archive_after is None:
            raise CommandError(ExitCode.SETTINGS_WRONG, "POSTWATCH_ARCHIVE_AFTER is never")
        with (
            open_from_settings(settings) as store,
            Views(store) as views,
            _archiving_alone(store),
        ):
            slowest = slowest_consumer(store, views)
            moved = Archiver(store, ARCHIVER).step(settings.archive_after, slowest.position)
            through = store.archive.through()
    print_json({"archived": moved.events, "archivedThrough": through, **slowest._asdict()})


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


@contextmanager
def _archiving_alone(store: Store) -> Iterator[None]:
    """Hold the lock of archiving. Raises CommandError that names the process that holds it."""
    locks = store.engine.locks
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.hold(ARCHIVE_LOCK))
        except LockHeldError as error:
            raise CommandError(
                ExitCode.ALREADY_RUNNING,
                f"another process archives checks of {locks.place}, or copies it in a backup or an "
                f"export: the lock is {error}; run this again when that process has ended",
            ) from None
        yield


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
    try:
        return parse_age(text)
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, f"--older-than {error}") from None
