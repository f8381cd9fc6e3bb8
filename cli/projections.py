"""`postwatch projections`: keep views current, rebuild them, see how they stand."""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import closing
from threading import Event
from typing import TYPE_CHECKING

import click

from cli import logs
from cli.failure import exit_on_failure
from cli.locks import hold
from cli.progress import progress
from cli.settings import Settings
from cli.supervised import follow_supervisor, lock_wait, supervised_option
from cli.tables import print_rows
from domain.key_rotation import destroy_left_over, finish_rotation
from domain.proof.stored import LOGS, log_proof
from domain.store import open_store
from projections import run as process
from projections.proof_keeper import ProofKeeper, keeping
from projections.views import PROJECTIONS, Views

if TYPE_CHECKING:
    from types import FrameType

    from domain.store import Store
    from projections.catch_up import Projector

_NAMES = [projection.name for projection in PROJECTIONS]


@click.group()
def projections() -> None:
    """Keep the views current, rebuild them, see how they stand."""


@projections.command()
@supervised_option
def run(*, supervised_by: int | None) -> None:
    """Keep every view at the head of its log until stopped."""
    with exit_on_failure():
        settings = Settings.from_env()
        logs.configure(settings.log_level, settings.log_format)
        follow_supervisor(supervised_by)
        stop = _stop_on_signal()
        with (
            open_store(settings.data, *settings.master_keys) as store,
            Views(store) as views,
            hold(store.folder, "projections", wait_seconds=lock_wait(supervised_by)),
            closing(store.monitoring_signal()) as monitoring,
            closing(store.checks_signal()) as checks,
        ):
            _tidy_keys(store)
            signals = {"monitoring": monitoring, "checks": checks}
            proofs = [log_proof(store, name) for name in LOGS]
            with keeping(ProofKeeper(proofs, settings.tree_head_seconds), stop):
                process.run(views.projectors, signals, stop)


@projections.command()
@click.argument("name", required=False, type=click.Choice(_NAMES))
def rebuild(name: str | None) -> None:
    """Rebuild the view NAME, or all, while everything goes on.

    Readers see the old rows until the new ones take their place, all at once.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        with open_store(settings.data, *settings.master_keys) as store, Views(store) as views:
            for each in [name] if name else _NAMES:
                with hold(store.folder, f"rebuild-{each}"):
                    _rebuild(each, views.projector(each))


@projections.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def status(*, as_json: bool) -> None:
    """Show position, lag, rows and generation of each view."""
    with exit_on_failure():
        settings = Settings.from_env()
        with open_store(settings.data, *settings.master_keys) as store, Views(store) as views:
            rows = [_status(name, each) for name, each in views.projectors.items()]
    columns = {
        "name": "View",
        "log": "Log",
        "position": "Position",
        "head": "Head",
        "lag": "Lag",
        "rows": "Rows",
        "generation": "Generation",
    }
    print_rows(rows, columns, as_json=as_json)


def _tidy_keys(store: Store) -> None:
    """Finish what a killed process began: a change of the master key, a destroyed data key."""
    finish_rotation(store.keys.store, store.master_keys)
    swept = destroy_left_over(store.monitoring, store.keys)
    if swept:
        logging.getLogger("postwatch.projections").warning(
            "%d left-over keys of deleted monitors are destroyed", swept
        )


def _rebuild(name: str, projector: Projector) -> None:
    with progress(f"rebuilding {name}") as report:
        projector.rebuild(report)
    rows = ", ".join(f"{count} {table}" for table, count in projector.view.count().items())
    print(f"{name}: rebuilt to position {projector.view.position()} ({rows})", file=sys.stderr)


def _status(name: str, projector: Projector) -> dict[str, object]:
    position, head = projector.view.position(), projector.log.head()
    return {
        "name": name,
        "log": projector.log.name,
        "position": position,
        "head": head,
        "lag": max(head - position, 0),
        "rows": sum(projector.view.count().values()),
        "generation": projector.view.generation(),
    }


def _stop_on_signal() -> Event:
    stop = Event()

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    return stop
