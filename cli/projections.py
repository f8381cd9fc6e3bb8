"""`postwatch projections`: keep views current, rebuild them, see how they stand, check them."""

from __future__ import annotations

import logging
import signal
import sys
from contextlib import ExitStack, closing, contextmanager
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

import click

from cli import logs
from cli.exit_codes import ExitCode
from cli.failure import CommandError, exit_on_failure
from cli.locks import hold
from cli.opening import awaited, opened_store
from cli.progress import progress
from cli.settings import Settings
from cli.supervised import follow_supervisor, lock_wait, supervised_option
from cli.view_standing import print_standings, standing
from cli.view_verdict import print_verdicts, verify_view
from domain.key_rotation import destroy_left_over, finish_rotation
from domain.proof.stored import log_proof
from domain.storage.engine import LOGS
from domain.storage.locks import HeldError
from projections import run as process
from projections.collecting import collect_seldom
from projections.proof_keeper import ProofKeeper, keeping
from projections.standing_by import take_turns
from projections.views import KEEPER_LOCK, PROJECTIONS, Views

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from domain.storage.locks import Hold
    from domain.store import Store
    from projections.catch_up import Projector
    from projections.rebuilding import Report

log = logging.getLogger("postwatch.projections")

_NAMES = [projection.name for projection in PROJECTIONS]
_NO_SIGNAL: Final = 0


@click.group()
def projections() -> None:
    """Keep the views current, rebuild them, see how they stand, check them."""


@projections.command()
@supervised_option
def run(*, supervised_by: int | None) -> None:
    """Keep every view at the head of its log until stopped.

    On a database one process does so; further ones stand by, and one of them takes over
    when that ends, loses its connection or is frozen.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        logs.configure(settings.log_level, settings.log_format)
        follow_supervisor(supervised_by)
        with ExitStack() as opened:
            store, views = awaited(lambda: _opened(settings, opened))
            stop = opened.enter_context(_stopping_on_signal())

            def work(over: Event, held: Hold) -> None:
                _keep(store, views, settings, over, held)

            locks = store.engine.locks
            if locks.spans_hosts:
                take_turns(locks, KEEPER_LOCK, work, stop)
            else:
                with hold(locks, KEEPER_LOCK, wait_seconds=lock_wait(supervised_by)) as held:
                    work(stop, held)


def _opened(settings: Settings, opened: ExitStack) -> tuple[Store, Views]:
    """Open store and views, all or none; `opened` closes them."""
    with ExitStack() as stack:
        store = stack.enter_context(opened_store(settings))
        views = stack.enter_context(Views(store))
        opened.push(stack.pop_all())
    return store, views


def _keep(store: Store, views: Views, settings: Settings, over: Event, held: Hold) -> None:
    """Do what one process of a store does, until it is over."""
    _tidy_keys(store)
    # While we stood by, a standby with another history may have become the primary.
    views.prepare()
    with ExitStack() as opened:
        signals = {each: opened.enter_context(closing(store.signal(each))) for each in LOGS}
        proofs = [log_proof(store, name) for name in LOGS]
        keeper = ProofKeeper(proofs, settings.tree_head_seconds, hold=held)
        with keeping(keeper, over):
            process.run(views.projectors, signals, over)


@projections.command()
@click.argument("name", required=False, type=click.Choice(_NAMES))
@click.option("--from-start", is_flag=True, help="Do not go on with a rebuild broken off before.")
def rebuild(name: str | None, *, from_start: bool) -> None:
    """Rebuild the view NAME, or all, while everything goes on.

    Readers see the old rows until the new ones take their place, all at once. A rebuild
    that was broken off, also by a kill, goes on where it was.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        collect_seldom()
        with opened_store(settings) as store, Views(store) as views:
            for each in [name] if name else _NAMES:
                _rebuild(each, views.projector(each), from_start=from_start)


@projections.command()
@click.argument("name", required=False, type=click.Choice(_NAMES))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def verify(name: str | None, *, as_json: bool) -> None:
    """Compare the view NAME, or all, with what their logs make of an empty one.

    Everything goes on meanwhile, and nothing is changed. Differences are named by table,
    key and field, never by value. Ends with exit code 10 when there are any.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        collect_seldom()
        with opened_store(settings) as store, Views(store) as views:
            names = [name] if name else _NAMES
            verdicts = {each: verify_view(each, views) for each in names}
    print_verdicts(verdicts, as_json=as_json)
    if any(verdict.differences for verdict in verdicts.values()):
        sys.exit(ExitCode.VIEW_DIFFERS)


@projections.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def status(*, as_json: bool) -> None:
    """Show position, lag, rows and generation of each view, and how far a rebuild is."""
    with exit_on_failure():
        settings = Settings.from_env()
        with opened_store(settings) as store, Views(store) as views:
            standings = [standing(store, each) for each in views.projectors.values()]
    print_standings(standings, as_json=as_json)


def _tidy_keys(store: Store) -> None:
    """Finish what a killed process began: a change of the master key, a destroyed data key."""
    finish_rotation(store.keys.store, store.master_keys)
    swept = destroy_left_over(store.monitoring, store.keys)
    if swept:
        log.warning("%d left-over keys of deleted monitors are destroyed", swept)


def _rebuild(name: str, projector: Projector, *, from_start: bool) -> None:
    try:
        with progress(f"rebuilding {name}") as report:
            projector.rebuild(_telling_where_it_begins(name, report), from_start=from_start)
    except HeldError as error:
        raise CommandError(
            ExitCode.ALREADY_RUNNING,
            f"the view {name} is being rebuilt already, {error}; wait for it "
            "(`postwatch projections status`), or stop that process",
        ) from None
    rows = ", ".join(f"{count} {table}" for table, count in projector.view.count().items())
    print(f"{name}: rebuilt to position {projector.view.position()} ({rows})", file=sys.stderr)


def _telling_where_it_begins(name: str, report: Report) -> Report:
    begun = False

    def told(position: int, head: int) -> None:
        nonlocal begun
        if position and not begun:
            print(f"{name}: goes on at position {position}", file=sys.stderr)
        begun = True
        report(position, head)

    return told


@contextmanager
def _stopping_on_signal() -> Iterator[Event]:
    """Give an event that SIGTERM or SIGINT sets, and say so in the log."""
    stop = Event()
    # Its `put` is made for signal handlers; a handler that logs may meet itself in the middle.
    came: SimpleQueue[int] = SimpleQueue()

    def request_stop(number: int, _frame: FrameType | None) -> None:
        came.put(number)
        stop.set()

    teller = Thread(target=_tell_stop, args=(came,), name="stop teller", daemon=True)
    teller.start()
    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    try:
        yield stop
    finally:
        came.put(_NO_SIGNAL)
        teller.join()


def _tell_stop(came: SimpleQueue[int]) -> None:
    number = came.get()
    if number != _NO_SIGNAL:
        log.info("%s: finishing what is running", signal.Signals(number).name)
