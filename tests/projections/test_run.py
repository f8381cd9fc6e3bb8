"""The projections process: catches up when a log grows, heals a view that is ahead, stops."""

from __future__ import annotations

import logging
import shutil
import threading
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from projections.catalog import Views
from projections.core.runner import run
from store.log_reader import LogReader
from store.store import create_store, open_store
from tests.domain.given import TESTER, check_of, make_owners
from tests.projections.folding import catch_up, everything
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from store.store import Store
    from tests.domain.given import Owners


@contextmanager
def running(store: Store, views: Views) -> Iterator[None]:
    """Run the projections in a thread, and stop them."""
    stop = threading.Event()
    with (
        closing(store.signal("monitoring")) as monitoring,
        closing(store.signal("checks")) as checks,
    ):
        signals = {"monitoring": monitoring, "checks": checks}
        thread = threading.Thread(target=run, args=(views.projectors, signals, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)
    assert not thread.is_alive()


def run_once(store: Store, views: Views) -> None:
    """Start the projections with the wish to stop."""
    stop = threading.Event()
    stop.set()
    run(views.projectors, {}, stop)
    assert store.monitoring.name == "monitoring"


def test_a_start_catches_every_view_up(store: Store, owners: Owners, views: Views) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    store.checks.record([check_of(monitor)], location="local", actor=TESTER)

    run_once(store, views)

    shown = views.reader.monitor("smtp", str(monitor.id))
    assert shown is not None
    assert shown.last_checked_at == "2026-01-01T12:00:00.000Z"


def test_whatever_is_written_is_shown_until_the_stop(
    store: Store, owners: Owners, views: Views
) -> None:
    with running(store, views):
        for number in range(3):
            monitor = store.monitoring.create_monitor(owners.create(), TESTER)
            key = str(monitor.id)
            wait_until(partial(views.reader.monitor, "smtp", key))
            store.checks.record([check_of(monitor, number)], location="local", actor=TESTER)
            wait_until(partial(views.reader.last_checks, key))
        head = LogReader(store.monitoring).head()
        wait_until(lambda: views.projector("monitors").view.position() == head)

    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    assert views.reader.monitor("smtp", str(monitor.id)) is None


def test_what_comes_during_a_rest_is_shown_after_it(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    log, roll_ups = LogReader(store.checks), views.projector("roll_ups")
    with running(store, views):
        for number in range(20):
            store.checks.record([check_of(monitor, number)], location="local", actor=TESTER)
            wait_until(lambda: views.projector("checks").view.position() == log.head())
        wait_until(lambda: roll_ups.view.position() == log.head(), what="roll-ups")


def test_a_view_that_is_ahead_of_its_log_is_rebuilt_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, backup = tmp_path / "data", tmp_path / "backup"
    with create_store(root) as store:
        owners = make_owners(store)
        kept = store.monitoring.create_monitor(owners.create(), TESTER)
    shutil.copytree(root / "logs", backup)
    with open_store(root) as store, Views(store) as views:
        lost = store.monitoring.create_monitor(owners.create(), TESTER)
        catch_up(views)
        assert views.reader.monitor("smtp", str(lost.id)) is not None
        reached = views.projector("monitors").view.tracked_position()
    shutil.rmtree(root / "logs")
    shutil.copytree(backup, root / "logs")

    with open_store(root) as store, Views(store) as views:
        projector = views.projector("monitors")
        assert not projector.is_ahead(), "made anew when it was opened"
        with projector.view.transaction() as transaction:
            # As if the log had been restored under an open view.
            transaction.set_position(*reached)
        assert projector.is_ahead()
        with caplog.at_level(logging.INFO), running(store, views):
            wait_until(lambda: not projector.is_ahead())
            wait_until(lambda: "view monitors: position 6, 0 events" in caplog.text)

        assert views.reader.monitor("smtp", str(lost.id)) is None
        assert views.reader.monitor("smtp", str(kept.id)) is not None
        assert projector.view.position() == projector.log.head()
        again = store.monitoring.create_monitor(owners.create(), TESTER)
        catch_up(views)
        assert views.reader.monitor("smtp", str(again.id)) is not None
    assert "view monitors shows events that its log does not have; it is rebuilt" in caplog.text
    assert "view monitors: position 6, 0 events applied at start" in caplog.text


def test_a_view_at_the_head_is_left_alone_by_a_start(
    store: Store, owners: Owners, views: Views
) -> None:
    store.monitoring.create_monitor(owners.create(), TESTER)
    catch_up(views)
    before = everything(views)

    run_once(store, views)

    assert everything(views) == before
    assert views.projector("monitors").view.generation() == 1
