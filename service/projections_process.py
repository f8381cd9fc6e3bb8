"""The process that keeps views, tree heads and key store current, and archives old checks."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from projections.catalog import PROJECTIONS_LOCK, Views
from projections.core import runner
from service.archive_keeper import ArchiveKeeper
from service.opening import hold_part, open_from_settings, wait_for_database
from service.signals import stop_event
from service.supervised_part import lock_wait_seconds
from store.background import keep_in_background
from store.keys.rotation import destroy_left_over, finish_rotation
from store.leadership import run_as_leader
from store.ports.engine import LOGS
from store.proving import log_proof
from store.tree_keeper import TreeKeeper

if TYPE_CHECKING:
    from threading import Event

    from service.settings import Settings
    from store.ports.locks import LockHandle
    from store.store import Store


log = logging.getLogger("postwatch.projections")


def keep_projections(settings: Settings, supervisor_pid: int | None) -> None:
    """Keep every view at the head of its log until SIGTERM or SIGINT.

    On a database one process does so and further ones stand by. On files a second process is
    refused: CommandError.
    """
    with ExitStack() as opened:
        store, views = wait_for_database(lambda: _open(settings, opened))
        stop = opened.enter_context(stop_event(log))

        def work(end: Event, lock: LockHandle) -> None:
            _keep(store, views, settings, end, lock)

        locks = store.engine.locks
        if locks.spans_hosts:
            run_as_leader(locks, PROJECTIONS_LOCK, work, stop)
        else:
            with hold_part(
                locks, PROJECTIONS_LOCK, wait_seconds=lock_wait_seconds(supervisor_pid)
            ) as lock:
                work(stop, lock)


def _open(settings: Settings, opened: ExitStack) -> tuple[Store, Views]:
    """Open store and views, or neither; `opened` closes them."""
    with ExitStack() as stack:
        store = stack.enter_context(open_from_settings(settings))
        views = stack.enter_context(Views(store))
        opened.push(stack.pop_all())
    return store, views


def _keep(store: Store, views: Views, settings: Settings, end: Event, lock: LockHandle) -> None:
    """Do the work of the one active process until `end` is set."""
    _finish_key_changes(store)
    # While this process stood by, a standby server with another history may have taken over.
    views.prepare()
    with ExitStack() as opened:
        signals = {each: opened.enter_context(closing(store.signal(each))) for each in LOGS}
        proofs = [log_proof(store, name) for name in LOGS]
        keeper = TreeKeeper(proofs, settings.tree_head_seconds, lock=lock)
        opened.enter_context(keep_in_background(keeper.run, end, name="proof keeper"))
        if settings.archive_after is not None:
            archiving = ArchiveKeeper(store, settings.archive_after, lock=lock)
            opened.enter_context(keep_in_background(archiving.run, end, name="archive keeper"))
        runner.run(views.projectors, signals, end)


def _finish_key_changes(store: Store) -> None:
    """Finish what a killed process began: a new master key, the destruction of data keys."""
    finish_rotation(store.keys.store, store.master_keys)
    destroyed = destroy_left_over(store.monitoring, store.keys)
    if destroyed:
        log.warning("%d left-over keys of deleted monitors are destroyed", destroyed)
