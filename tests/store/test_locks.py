"""Locks by name on every engine: one holder, which is named and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from eventsourcing.persistence import InterfaceError, OperationalError

from store.ports.locks import LockHeldError
from tests.system.service import ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.ports.locks import Locks
    from tests.places import Place


HOLD = """
import sys
from tests.places import place_of

with place_of(*sys.argv[1:]).engine() as engine, engine.locks.hold("part"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def locks(place: Place) -> Iterator[Locks]:
    """The locks of a place."""
    with place.engine() as engine:
        yield engine.locks


def test_a_held_lock_names_its_holder(locks: Locks, place: Place) -> None:
    assert locks.holder("part") is None
    with locks.hold("part"):
        holder = locks.holder("part")
        assert holder is not None
        assert holder.pid == os.getpid()
        assert holder.host in (None, socket.gethostname())
        with (
            pytest.raises(LockHeldError, match=f"held by process {os.getpid()} .*since 20"),
            locks.hold("part"),
        ):
            pytest.fail("two hold it")
        with (
            place.engine() as another,
            pytest.raises(LockHeldError) as refusal,
            another.locks.hold("part"),
        ):
            pytest.fail("two hold it")
        assert refusal.value.holder == holder
    assert locks.holder("part") is None


def test_locks_of_other_names_are_free(locks: Locks) -> None:
    with locks.hold("part"), locks.hold("another part"):
        assert locks.holder("a third part") is None


def test_a_waiting_process_gets_the_lock_when_the_holder_ends(locks: Locks, place: Place) -> None:
    is_held, end = threading.Event(), threading.Event()

    def hold() -> None:
        with place.engine() as another, another.locks.hold("part"):
            is_held.set()
            end.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(20)
    threading.Timer(0.2, end.set).start()
    with locks.hold("part", wait_seconds=20):
        assert end.is_set()
    thread.join()


@pytest.mark.parametrize("error", [ZeroDivisionError, OperationalError, InterfaceError])
def test_what_goes_wrong_under_a_lock_stays_what_it_is_and_gives_it_back(
    locks: Locks, error: type[Exception]
) -> None:
    with pytest.raises(error, match="of the work"), locks.hold("part"):
        raise error("of the work")

    with locks.hold("part"):
        pass


def test_a_killed_holder_leaves_nothing_behind(locks: Locks, place: Place) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, *place.words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        holder = locks.holder("part")
        assert holder is not None
        assert holder.pid == process.pid
        process.kill()
    with locks.hold("part", wait_seconds=30):
        pass


def test_of_many_who_want_it_one_has_it_at_a_time(place: Place) -> None:
    inside, most, rounds = 0, 0, 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal inside, most, rounds
        with place.engine() as engine:
            for _ in range(3):
                with engine.locks.hold("part", wait_seconds=60):
                    with counting:
                        inside += 1
                        most = max(most, inside)
                    with counting:
                        inside -= 1
                        rounds += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: rounds == 12, seconds=60, what="everybody's turn")
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_shared_lock_keeps_out_only_who_wants_it_alone(locks: Locks, place: Place) -> None:
    with place.engine() as another, locks.hold("part", shared=True):
        with another.locks.hold("part", shared=True):
            pass
        with (
            pytest.raises(LockHeldError, match=f"held by process {os.getpid()}"),
            another.locks.hold("part"),
        ):
            pytest.fail("one holds it alone that others share")
    with (
        locks.hold("part"),
        pytest.raises(LockHeldError, match=f"held by process {os.getpid()}"),
        locks.hold("part", shared=True),
    ):
        pytest.fail("one shares what another holds alone")
