"""`postwatch projections`: runs, shows, rebuilds and verifies the views."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from cli.terminal.help import examples, exit_codes
from cli.terminal.output import print_json, print_line, print_rows
from cli.terminal.progress import progress
from domain.clock import utc_now
from projections.catalog import PROJECTIONS, Views, rebuild_lock
from projections.core.runner import relax_gc
from projections.core.verify import verify
from service import logging as logs
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import open_from_settings
from service.projections_process import keep_projections
from service.settings import Settings
from service.supervised_part import exit_with_supervisor, supervised_option
from store.ports.locks import LockHeldError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from projections.core.projector import OnProgress, Projector
    from projections.core.verify import ViewComparison, ViewDifference
    from store.store import Store


_HEADINGS = {
    "name": "View",
    "log": "Log",
    "state": "State",
    "position": "Position",
    "head": "Head",
    "lag": "Lag",
    "lagSeconds": "Lag (s)",
    "rows": "Rows",
    "generation": "Generation",
    "rebuild": "Rebuild",
}


def view_status(store: Store, projector: Projector) -> dict[str, Any]:
    """Return the state of a view and of its rebuild, by the keys of the printed JSON."""
    view = projector.view
    current = projector.is_current()
    since = projector.oldest_unapplied_at()
    return {
        "name": projector.projection.name,
        "log": projector.log.name,
        "state": "current" if current else "not made yet by this version",
        "position": view.position() if current else 0,
        "head": projector.log.head(),
        "lag": projector.lag(),
        "lagSeconds": round((utc_now() - since).total_seconds(), 3) if since else 0,
        "rows": sum(view.count().values()) if current else 0,
        "generation": view.generation(),
        "rebuild": _rebuild_progress(store, projector),
    }


def print_statuses(statuses: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print the states of views."""
    if as_json:
        print_json(statuses)
        return
    rows = [{**each, "rebuild": _describe_rebuild(each["rebuild"])} for each in statuses]
    print_rows(rows, _HEADINGS, as_json=False)


def _rebuild_progress(store: Store, projector: Projector) -> dict[str, Any] | None:
    holder = store.engine.locks.holder(rebuild_lock(projector.projection.name))
    position = projector.rebuilder.position()
    if holder is None and position is None:
        return None
    return {
        "position": position or 0,
        "process": holder.pid if holder else None,
        "since": holder.since if holder else None,
    }


def _describe_rebuild(rebuild: dict[str, Any] | None) -> str | None:
    if rebuild is None:
        return None
    if rebuild["process"] is None:
        return f"broken off at {rebuild['position']}"
    return f"at {rebuild['position']}, process {rebuild['process']}"


_WORDS = {
    "missing": "is missing",
    "unexpected": "should not be there",
    "ahead": "the view shows events that its log does not have",
}


def verify_view(name: str, views: Views) -> ViewComparison:
    """Compare a view with one that is built anew, and report the progress."""
    projector = views.projector(name)
    scratch = views.storage.scratch(projector.projection)
    try:
        with progress(f"verifying {name}") as report:
            return verify(projector, scratch, report)
    finally:
        scratch.close()


def print_comparisons(comparisons: Mapping[str, ViewComparison], *, as_json: bool) -> None:
    """Print one line for each view, and one for each of its differences."""
    if as_json:
        print_json([_as_json(name, comparison) for name, comparison in comparisons.items()])
        return
    for name, comparison in comparisons.items():
        count = len(comparison.differences)
        found = f"{count} differences" if count else "equal to its log"
        print_line(
            f"{name}: {found} at position {comparison.position} ({comparison.rows} rows compared)"
        )
        for each in comparison.differences:
            print_line(f"{name}: {_line(each)}")


def _line(difference: ViewDifference) -> str:
    words = _WORDS.get(difference.what) or f"{difference.field or ''} differs"
    return f"table {difference.table}, key {difference.key}: {words}"


def _as_json(name: str, comparison: ViewComparison) -> dict[str, Any]:
    return {
        "name": name,
        "position": comparison.position,
        "rows": comparison.rows,
        "differences": [
            {"what": each.what, "table": each.table, "key": each.key, "field": each.field}
            for each in comparison.differences
        ],
    }


_NAMES = [projection.name for projection in PROJECTIONS]


@click.group()
def projections() -> None:
    """Run, show, rebuild and verify the views, which are folded from the logs."""


@projections.command(epilog=exit_codes("5  another process keeps the views of the data folder"))
@supervised_option
def run(*, supervised_by: int | None) -> None:
    """Keep every view at the head of its log until stopped.

    With PostgreSQL one process is active and further ones stand by. One of them takes over
    when the active process ends, loses its connection or is frozen.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        logs.configure(settings.log_level, settings.log_format)
        exit_with_supervisor(supervised_by)
        keep_projections(settings, supervised_by)


@projections.command(epilog=examples("postwatch projections rebuild monitors"))
@click.argument("name", required=False, type=click.Choice(_NAMES))
@click.option(
    "--from-start", is_flag=True, help="Start anew instead of resuming an interrupted rebuild."
)
def rebuild(name: str | None, *, from_start: bool) -> None:
    """Rebuild the view NAME, or all views, while everything runs.

    Readers see the old rows until the new ones replace them in one transaction. An
    interrupted rebuild resumes where it was.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        relax_gc()
        with open_from_settings(settings) as store, Views(store) as views:
            for each in [name] if name else _NAMES:
                _rebuild(each, views.projector(each), from_start=from_start)


@projections.command(
    "verify",
    epilog=examples("postwatch projections verify monitors")
    + exit_codes("0   every view equals its log", "10  a view differs from its log"),
)
@click.argument("name", required=False, type=click.Choice(_NAMES))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def verify_views(name: str | None, *, as_json: bool) -> None:
    """Compare the view NAME, or all views, with one that is built anew from its log.

    The service keeps running, and nothing is changed. Differences are named by table, key
    and field, never by value.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        relax_gc()
        with open_from_settings(settings) as store, Views(store) as views:
            names = [name] if name else _NAMES
            comparisons = {each: verify_view(each, views) for each in names}
    print_comparisons(comparisons, as_json=as_json)
    if any(comparison.differences for comparison in comparisons.values()):
        sys.exit(ExitCode.VIEW_DIFFERS)


@projections.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def status(*, as_json: bool) -> None:
    """Show position, lag, rows and generation of each view, and the progress of a rebuild.

    Lag is the number of events that the view has not applied yet, Lag (s) the age of the
    oldest of them.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        with open_from_settings(settings) as store, Views(store) as views:
            statuses = [view_status(store, each) for each in views.projectors.values()]
    print_statuses(statuses, as_json=as_json)


def _rebuild(name: str, projector: Projector, *, from_start: bool) -> None:
    try:
        with progress(f"rebuilding {name}") as report:
            projector.rebuild(_announcing_start(name, report), from_start=from_start)
    except LockHeldError as error:
        raise CommandError(
            ExitCode.ALREADY_RUNNING,
            f"the view {name} is being rebuilt already, {error}; wait for it "
            "(`postwatch projections status`), or stop that process",
        ) from None
    rows = ", ".join(f"{count} {table}" for table, count in projector.view.count().items())
    print_line(f"{name}: rebuilt to position {projector.view.position()} ({rows})", error=True)


def _announcing_start(name: str, report: OnProgress) -> OnProgress:
    begun = False

    def announce(position: int, head: int) -> None:
        nonlocal begun
        if position and not begun:
            print_line(f"{name}: goes on at position {position}", error=True)
        begun = True
        report(position, head)

    return announce
