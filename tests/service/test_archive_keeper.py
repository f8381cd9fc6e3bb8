"""The keeper archives old checks in a child process, and waits where it must."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.transfer import backup, export_import
from domain.actor import ARCHIVER
from domain.incidents import TrackingMove
from projections.catalog import Views
from service import archive_keeper, opening
from service.archive_keeper import ArchiveKeeper
from service.opening import archiving_held_back
from service.settings import DEFAULT_ARCHIVE_AFTER
from store.archiving import Archiver
from store.background import keep_in_background
from store.ports.locks import LockHandle, LockHeldError
from store.proving import log_proof
from store.store import open_store
from tests.domain.given import make_owners
from tests.domain.realistic import Fleet, record
from tests.intruder import intruder_of
from tests.places import on_sqlite
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from pathlib import Path
    from types import ModuleType

    from store.store import Store
    from tests.places import Place


MONITORS, CHECKS = 3, 60


@pytest.fixture(autouse=True)
def _everything_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture(autouse=True)
def _settings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let child processes find the store."""
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def checked(store: Store) -> Store:
    """A store with checks of some months ago, which all views have read."""
    make_owners(store)
    record(store, Fleet(MONITORS).checks(CHECKS))
    catch_up(store)
    return store


def catch_up(store: Store) -> None:
    with Views(store) as views:
        for projector in views.projectors.values():
            projector.catch_up()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "postwatch.archive"]


@contextmanager
def keeping(
    store: Store, *, lock: LockHandle | None = None, retry_seconds: float = 0.1
) -> Iterator[Event]:
    """Let a keeper work while the block runs; yield what stops it."""
    stop = Event()
    keeper = ArchiveKeeper(
        store,
        DEFAULT_ARCHIVE_AFTER,
        lock=lock or LockHandle(),
        round_seconds=0.1,
        retry_seconds=retry_seconds,
    )
    with keep_in_background(keeper.run, stop, name="archive keeper"):
        yield stop


def live(store: Store) -> int:
    """Return how many checks are in the log itself."""
    return len(store.engine.rows("checks").after(0, 2 * CHECKS))


def test_old_checks_are_archived_and_the_audit_log_says_by_whom(
    checked: Store, caplog: pytest.LogCaptureFixture
) -> None:
    before = checked.rows("checks").after(0, CHECKS)

    with keeping(checked):
        wait_until(lambda: live(checked) == MONITORS, seconds=60, what="the log pruned")
        wait_until(lambda: said(caplog), what="a line in the log")

    assert said(caplog) == [f"{CHECKS} checks archived, up to position {CHECKS}"]
    assert checked.rows("checks").after(0, CHECKS) == before
    newest = checked.reader("monitoring").after(0, 1000)[-1].event
    assert (newest.TOPIC, newest.actor) == ("ChecksArchived", ARCHIVER)


@pytest.mark.thorough
def test_it_waits_for_alerting_and_says_so_once(
    checked: Store, caplog: pytest.LogCaptureFixture
) -> None:
    checked.incidents.record([], TrackingMove("checks", None, 7))

    with keeping(checked):
        wait_until(lambda: said(caplog), seconds=60, what="a line in the log")
        assert checked.archive.through() == 0
        checked.incidents.record([], TrackingMove("checks", 7, CHECKS))
        wait_until(lambda: live(checked) == MONITORS, seconds=60, what="the log pruned")
        wait_until(lambda: len(said(caplog)) > 1, what="another line in the log")

    assert said(caplog) == [
        "archiving waits for alerting, which has read the checks up to position 7",
        f"{CHECKS} checks archived, up to position {CHECKS}",
    ]


def test_it_waits_while_another_process_archives(
    checked: Store, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(place.root, database=place.database) as other, keeping(checked):
        with other.engine.locks.hold("archive"):
            wait_until(lambda: said(caplog), what="a line in the log")
            assert checked.archive.through() == 0
        wait_until(lambda: live(checked) == MONITORS, seconds=60, what="the log pruned")

    assert said(caplog)[0].startswith(f"archiving waits: the lock is held by process {os.getpid()}")


@pytest.mark.thorough
@on_sqlite
def test_why_checks_are_not_archived_is_said_once(
    checked: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_proof(checked, "checks").grow()
    intruder_of(checked).sql("checks", "UPDATE {events} SET topic = 'Other' WHERE {position} = 9")
    failures: list[int] = []
    original = archive_keeper._run_child

    def counted(stop: Event) -> archive_keeper._Ended:
        ended = original(stop)
        failures.append(ended.status)
        return ended

    monkeypatch.setattr(archive_keeper, "_run_child", counted)
    with keeping(checked):
        wait_until(lambda: len(failures) > 1, seconds=60, what="a second attempt")

    assert checked.archive.through() == 0
    (line,) = said(caplog)
    assert line.startswith("checks are not archived: the checks log was changed at position 9")


@on_sqlite
def test_a_child_that_is_killed_is_followed_by_another(
    checked: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first child dies as soon as it is there; what it left half written is removed."""
    started: list[int] = []
    popen = subprocess.Popen

    def first_is_killed(*arguments: object, **options: object) -> object:
        child: subprocess.Popen[str] = popen(*arguments, **options)  # type: ignore[call-overload]
        if not started:
            child.send_signal(signal.SIGKILL)
        started.append(child.pid)
        return child

    monkeypatch.setattr(subprocess, "Popen", first_is_killed)
    with keeping(checked):
        wait_until(lambda: live(checked) == MONITORS, seconds=60, what="the log pruned")
        wait_until(lambda: len(said(caplog)) > 1, what="two lines in the log")

    assert len(started) == 2
    assert said(caplog)[0] == "checks are not archived: its process ended with -9"


@on_sqlite
def test_a_stop_ends_its_child(checked: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    started = Event()
    monkeypatch.setattr(
        archive_keeper,
        "postwatch_command",
        lambda *_: ["/bin/sh", "-c", "exec sleep 600"],
    )
    popen = subprocess.Popen

    def noted(*arguments: object, **options: object) -> object:
        child: subprocess.Popen[str] = popen(*arguments, **options)  # type: ignore[call-overload]
        started.set()
        return child

    monkeypatch.setattr(subprocess, "Popen", noted)
    with keeping(checked) as stop:
        assert started.wait(20)
        stop.set()

    assert checked.archive.through() == 0


class Lost(LockHandle):
    """A lock that another process holds by now."""

    @property
    def is_lost(self) -> bool:
        """It is."""
        return True


@on_sqlite
def test_a_process_that_lost_its_lock_archives_nothing(
    checked: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Archiver] = []
    original = Archiver.is_due

    def noted(self: Archiver, older_than: timedelta) -> bool:
        looked.append(self)
        return original(self, older_than)

    monkeypatch.setattr(Archiver, "is_due", noted)
    with keeping(checked, lock=Lost()):
        wait_until(lambda: len(looked) > 2, what="some rounds")

    assert checked.archive.through() == 0


def test_it_waits_while_the_store_is_copied(
    checked: Store, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(place.root, database=place.database) as other, keeping(checked):
        with archiving_held_back(other.engine.locks), archiving_held_back(other.engine.locks):
            wait_until(lambda: said(caplog), what="a line in the log")
            assert checked.archive.through() == 0
        wait_until(lambda: live(checked) == MONITORS, seconds=60, what="the log pruned")

    assert said(caplog)[0].startswith("archiving waits: the lock is held by process")


@on_sqlite
def test_a_copy_does_not_wait_for_ever(checked: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "ARCHIVER_WAIT_SECONDS", 0.1)

    with checked.engine.locks.hold("archive"), archiving_held_back(checked.engine.locks):
        checked.reader("checks").after(0, 10)


@on_sqlite
@pytest.mark.parametrize(
    ("command", "module", "work"),
    [
        ("backup", backup, "make_backup"),
        ("log export", export_import, "export_lines"),
    ],
)
def test_backup_and_export_hold_archiving_back(
    checked: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    command: str,
    module: ModuleType,
    work: str,
) -> None:
    original = getattr(module, work)

    def watched(*arguments: object, **options: object) -> object:
        with pytest.raises(LockHeldError), checked.engine.locks.hold("archive"):
            pytest.fail("nothing holds archiving back")
        return original(*arguments, **options)

    monkeypatch.setattr(module, work, watched)
    done = CliRunner().invoke(main, [*command.split(), str(tmp_path / "copy")])

    assert done.exit_code == 0, done.output
    with checked.engine.locks.hold("archive"):
        assert (tmp_path / "copy").exists()
