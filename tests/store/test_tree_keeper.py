"""The keeper of the trees grows them, signs heads in time, and survives errors."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING

import pytest

from store.background import keep_in_background
from store.ports.engine import LOGS
from store.ports.locks import LockHandle
from store.proving import log_proof
from store.tree_keeper import TreeKeeper
from tests.domain.given import NOON, make_owners
from tests.places import on_sqlite
from tests.store.proof_store import TamperedLog
from tests.waiting import wait_until

if TYPE_CHECKING:
    from store.store import Store


class Kept:
    """A store with a keeper whose clock is set by hand."""

    def __init__(self, store: Store) -> None:
        self.log = TamperedLog(store)
        self.now = NOON
        self.proofs = [log_proof(store, name, clock=self.clock) for name in LOGS]
        self.hold = Losable()
        self.keeper = TreeKeeper(self.proofs, 600, clock=self.clock, lock=self.hold)

    def clock(self) -> datetime:
        """Return the time."""
        return self.now

    def step(self, seconds: int = 1) -> None:
        """Let time pass, and the keeper look."""
        self.now += timedelta(seconds=seconds)
        self.keeper.step(Event())

    def sizes(self) -> list[int]:
        """Return the sizes of all heads of the checks log, newest first."""
        return [head.size for head in self.log.proof.heads.newest(100)]


class Losable(LockHandle):
    """A lock that is lost when the test says so."""

    lost = False

    @property
    def is_lost(self) -> bool:
        """Whether the test says so."""
        return self.lost


@pytest.fixture
def kept(store: Store) -> Kept:
    """A keeper of an empty store."""
    return Kept(store)


def test_heads_are_signed_at_intervals_when_something_is_new(kept: Kept) -> None:
    kept.step()
    assert kept.sizes() == []

    kept.log.fill(3)
    kept.step()
    assert kept.sizes() == [3]

    kept.log.fill(3)
    kept.step(598)
    assert kept.sizes() == [3]
    assert kept.log.proof.size() == 6, "the tree grows at each look"
    kept.step(2)
    assert kept.sizes() == [6, 3]

    kept.step(6000)
    assert kept.sizes() == [6, 3], "nothing is new"


def test_a_clock_that_was_put_back_does_not_stop_the_signing(kept: Kept) -> None:
    kept.log.fill(3)
    kept.step()
    kept.log.fill(3)

    kept.step(-100_000)

    assert kept.sizes() == [6, 3]


def test_a_head_is_signed_at_the_end(kept: Kept) -> None:
    kept.log.fill(3)
    kept.step()
    kept.log.fill(3)

    kept.keeper.finish()

    assert kept.sizes() == [6, 3]


def test_a_keeper_without_its_lock_signs_nothing(kept: Kept) -> None:
    kept.log.fill(3)
    kept.step()
    kept.log.fill(3)

    kept.hold.lost = True
    kept.step(700)
    kept.keeper.finish()

    assert kept.sizes() == [3]


def test_an_error_is_logged_once_and_does_not_stop_the_other_log(
    kept: Kept, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    make_owners(store)
    kept.log.fill(3)
    kept.step()
    whole = kept.log.behind.heads("monitoring")
    kept.log.behind.put_heads("monitoring", [b"nonsense\n"])
    kept.log.fill(3)

    kept.step(700)
    kept.step()
    assert kept.sizes() == [6, 3]
    kept.log.behind.put_heads("monitoring", whole)
    kept.step()

    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("the tree of monitoring does not grow: this is no signed tree head") == 1
    assert messages.count("the tree of monitoring grows again") == 1


@on_sqlite
def test_a_locked_tree_is_logged_and_tried_again(
    kept: Kept, store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.sqlite.tiles.LOCK_TIMEOUT_SECONDS", 0)
    kept.log.fill(3)
    with closing(
        sqlite3.connect(store.folder.proof / "checks.db", isolation_level=None)
    ) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        kept.step()
        connection.execute("ROLLBACK")
    assert "the tree of checks does not grow: OperationalError" in caplog.text

    kept.step()
    assert kept.sizes() == [3]


def test_a_log_without_its_end_is_logged_at_the_start(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    kept.log.fill(3)
    kept.step()
    kept.log.sql("DELETE FROM {events} WHERE {position} = 3")
    kept.log.skip_to(2)

    kept.keeper.start()

    assert "the log checks is shorter than its tree" in caplog.text


def test_it_runs_beside_the_block_and_signs_when_that_ends(kept: Kept) -> None:
    stop = Event()
    kept.log.fill(3)

    with keep_in_background(kept.keeper.run, stop, name="keeper"):
        wait_until(lambda: kept.sizes() == [3], seconds=20, what="a head")
        kept.log.fill(3)

    assert stop.is_set()
    assert kept.sizes() == [6, 3]


def test_a_bug_in_it_ends_the_block(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy(_stop: Event) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(kept.keeper, "step", buggy)
    stop = Event()

    with pytest.raises(ZeroDivisionError), keep_in_background(kept.keeper.run, stop, name="keeper"):
        assert stop.wait(20)
