"""Acknowledged events: commits are synced, and positions are never given twice."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from store.log_reader import LogReader
from store.sqlite.keys import SqliteKeyStore
from store.sqlite.log import SqliteChangeSignal
from tests.domain.given import TESTER, check_of
from tests.intruder import intruder_of
from tests.places import on_sqlite

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from eventsourcing.application import Application

    from domain.monitor import Monitor
    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


FULL = 2
EXTRA = 3


def pragmas(application: Application[Any]) -> list[tuple[int, str]]:
    """Return `synchronous` and `journal_mode` of a writing and a reading connection."""
    found = []
    for commit in (True, False):
        with application.recorder.datastore.transaction(commit=commit) as cursor:  # type: ignore[attr-defined] # the recorder is the SQLite one
            values = []
            for name in ("synchronous", "journal_mode"):
                cursor.execute(f"PRAGMA {name}")
                values.append(cursor.fetchone()[0])
            found.append((values[0], values[1]))
    return found


@on_sqlite
def test_every_connection_of_both_logs_syncs_each_commit(store: Store, place: Place) -> None:
    with place.open() as opened:
        for each in (store.monitoring, store.checks, opened.monitoring, opened.checks):
            assert pragmas(each) == [(FULL, "wal"), (FULL, "wal")]


def test_the_key_file_syncs_each_commit_and_keeps_no_write_ahead_log(tmp_path: Path) -> None:
    keys = SqliteKeyStore(tmp_path / "keys.db", create=True)

    with closing(keys._connect()) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == EXTRA
        assert connection.execute("PRAGMA secure_delete").fetchone()[0] == 1
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"


def test_positions_are_never_given_twice_also_after_the_newest_events_were_pruned(
    store: Store, place: Place, owners: Owners
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    for minute in range(3):
        store.checks.record([check_of(monitor, minute)], location="local", actor=TESTER)
    log = LogReader(store.checks)
    assert log.head() == 3

    intruder_of(store).sql("checks", "DELETE FROM {events}")
    with place.open() as reopened:
        reopened.checks.record([check_of(monitor, 9)], location="local", actor=TESTER)

    assert [each.position for each in log.after(0, 10)] == [4]


def test_a_version_of_a_stream_is_stored_once(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)

    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        intruder_of(store).sql(
            "monitoring",
            "INSERT INTO {events} (originator_id, originator_version, topic, state) "
            "SELECT originator_id, originator_version, topic, state FROM {events} "
            "WHERE originator_id = ?",
            monitor.id.hex,
        )


def test_what_was_stored_is_there_after_the_store_was_opened_again(
    place: Place, store: Store, owners: Owners
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    store.close()

    with place.create() as again:
        found: Monitor = again.monitoring.repository.get(monitor.id)
        assert again.monitoring.create_monitor(owners.create(), TESTER).number == 2

    assert found == monitor


def test_files_and_folders_are_their_owners_only(store: Store) -> None:
    root = store.folder.root
    folders = {"keys"} if store.engine.has_fleet else {"keys", "locks", "logs", "views"}

    assert {each.name for each in root.iterdir() if each.is_dir()} == folders
    for folder in (root, *(root / each for each in folders)):
        assert folder.stat().st_mode & 0o077 == 0
    assert store.folder.master_key.stat().st_mode & 0o777 == 0o600
    assert os.access(store.folder.master_key, os.R_OK)


@on_sqlite
def test_a_signal_reports_each_commit_of_another_connection_once(
    store: Store, owners: Owners
) -> None:
    with closing(store.signal("monitoring")) as signal, closing(store.signal("checks")) as other:
        assert signal.changed()
        assert not signal.changed()
        assert other.changed()

        store.monitoring.create_monitor(owners.create(), TESTER)

        assert signal.changed()
        assert not signal.changed()
        assert not other.changed()


def test_a_signal_is_of_one_file(tmp_path: Path) -> None:
    with closing(SqliteChangeSignal(str(tmp_path / "new.db"))) as signal:
        assert signal.changed()
        assert not signal.changed()
