"""Locks of a database end with their holder: when it ends, breaks off, or is frozen."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, LiteralString

import psycopg
import pytest

from store.ports.engine import Database
from store.ports.errors import DatabaseUnavailableError
from store.ports.locks import LockHeldError, LockHolder
from store.postgres.connections import Connections
from store.postgres.locks import PostgresLocks
from tests.mailservers.processes import free_ports
from tests.places import POSTGRES, Databases
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.ports.locks import LockHandle


pytestmark = list(POSTGRES.marks)

HOLD = """
import sys
from store.ports.engine import Database
from store.postgres.connections import Connections
from store.postgres.locks import PostgresLocks
from tests.waiting import wait_until
connections = Connections(sys.argv[1], "test")
locks = PostgresLocks(Database(sys.argv[1]), connections, silent_seconds=float(sys.argv[2]))
with locks.hold("part") as hold:
    print("held", flush=True)
    sys.stdin.readline()
    wait_until(lambda: hold.is_lost)
    print("lost", flush=True)
    sys.stdin.readline()
"""
"""Holds a lock, and finds out on demand that it does no more."""


_OF_PART = "FROM pg_stat_activity WHERE application_name LIKE 'postwatch part %'"
_IS_OLD: LiteralString = f"SELECT now() - backend_start > '5s' {_OF_PART}"
_END: LiteralString = f"SELECT pg_terminate_backend(pid) {_OF_PART}"


@pytest.fixture
def locks(postgres: Databases) -> Iterator[PostgresLocks]:
    """The locks of an empty database."""
    with postgres.migrated() as database, locks_of(database.url) as made:
        yield made


@contextmanager
def locks_of(url: str, **seconds: float) -> Iterator[PostgresLocks]:
    with closing(Connections(url, "test")) as connections:
        yield PostgresLocks(Database(url), connections, **seconds)


@contextmanager
def another_holder(
    locks: PostgresLocks, silent_seconds: float = 3600.0
) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds the lock `part`; the server ends it when it is silent for long."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, locks._database.url, str(silent_seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_held_lock_names_its_holder_and_its_host(locks: PostgresLocks) -> None:
    assert locks.holder("part") is None
    with locks.hold("part") as hold:
        holder = locks.holder("part")
        assert holder is not None
        assert (holder.pid, holder.host) == (os.getpid(), socket.gethostname())
        with pytest.raises(LockHeldError, match=f"held by process {os.getpid()} on "):
            locks.hold("part").__enter__()
        assert not hold.is_lost
    wait_until(lambda: locks.holder("part") is None, what="the session has ended")


def test_a_waiting_process_gets_the_lock_of_a_holder_that_ends(locks: PostgresLocks) -> None:
    with another_holder(locks) as process:
        process.kill()
        with locks.hold("part", wait_seconds=30):
            pass


def test_a_killed_holder_leaves_nothing_behind(locks: PostgresLocks) -> None:
    with another_holder(locks) as process:
        holder = locks.holder("part")
        assert isinstance(holder, LockHolder)
        assert holder.pid == process.pid
        process.kill()
        wait_until(lambda: locks.holder("part") is None, what="the lock is free")


def test_a_frozen_holder_loses_the_lock_and_detects_it(locks: PostgresLocks) -> None:
    with another_holder(locks, silent_seconds=2.0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.send_signal(signal.SIGSTOP)
        with locks.hold("part", wait_seconds=30):
            process.send_signal(signal.SIGCONT)
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "lost\n"
            holder = locks.holder("part")
            assert holder is not None
            assert holder.pid == os.getpid()


def test_a_holder_sends_heartbeats_and_notices_the_end_of_its_session(
    postgres: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        postgres.migrated() as database,
        locks_of(database.url, heartbeat_seconds=0.05, silent_seconds=4.0) as locks,
        psycopg.connect(database.url, autocommit=True) as operator,
        locks.hold("part") as hold,
    ):
        wait_until(
            lambda: operator.execute(_IS_OLD).fetchone() == (True,), what="more than its patience"
        )
        assert not hold.is_lost

        operator.execute(_END)
        wait_until(lambda: _is_lost(hold), what="it knows")
        with locks.hold("part", wait_seconds=30):
            assert _is_lost(hold)
    assert "the lock part is lost: its session has ended" in caplog.messages


def test_a_holder_without_heartbeats_detects_the_loss_from_the_clock(postgres: Databases) -> None:
    """As one that was frozen, when it goes on: what it does next comes before its heartbeat."""
    with (
        postgres.migrated() as database,
        locks_of(database.url, heartbeat_seconds=3600.0, silent_seconds=0.5) as locks,
        locks.hold("part") as hold,
        locks.hold("part", wait_seconds=30),
    ):
        assert hold.is_lost


def _is_lost(hold: LockHandle) -> bool:
    return hold.is_lost


def test_there_is_no_lock_without_a_server() -> None:
    with (
        locks_of(f"postgresql://postwatch@127.0.0.1:{free_ports(1)[0]}/mail") as locks,
        pytest.raises(DatabaseUnavailableError, match="does not answer"),
    ):
        locks.hold("part").__enter__()
