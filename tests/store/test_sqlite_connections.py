"""A connection for each thread, as long as the thread lives."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from threading import Thread

import pytest

from store.sqlite.connections import ThreadConnections


def connections(path: Path) -> ThreadConnections[sqlite3.Connection]:
    return ThreadConnections(lambda: sqlite3.connect(path, check_same_thread=False))


def opened(path: Path) -> int:
    """Return how often a file is open in this process."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        try:
            found += each.readlink() == path
        except FileNotFoundError:
            # The descriptor of the listing itself.
            continue
    return found


def use(found: ThreadConnections[sqlite3.Connection]) -> None:
    found.get().execute("CREATE TABLE IF NOT EXISTS t (x)")


def test_a_thread_keeps_its_connection_and_no_other_one_has_it(tmp_path: Path) -> None:
    found = connections(tmp_path / "a.db")
    theirs: list[sqlite3.Connection] = []
    thread = Thread(target=lambda: theirs.append(found.get()))
    thread.start()
    thread.join()

    assert found.get() is found.get()
    assert theirs != [found.get()]
    found.close()
    theirs[0].close()


def test_a_thread_that_ends_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    found = connections(path)
    use(found)
    assert opened(path) == 1

    for _ in range(20):
        thread = Thread(target=use, args=(found,))
        thread.start()
        thread.join()

    assert opened(path) == 1
    found.close()
    assert opened(path) == 0


def test_closing_closes_the_connections_of_all_threads_and_opens_new_ones_later(
    tmp_path: Path,
) -> None:
    found = connections(tmp_path / "c.db")
    old = found.get()

    found.close()

    with pytest.raises(sqlite3.ProgrammingError):
        old.execute("SELECT 1")
    assert found.get().execute("SELECT 1").fetchone() == (1,)
    found.close()
