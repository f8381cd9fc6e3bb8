"""Writers take turns, also when one of them is killed or fails."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest

from domain.errors import StoreError
from store.files import file_locks
from store.files.file_locks import WriteQueue, held, holder_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


HOLD = """
import sys
from pathlib import Path
from store.files.file_locks import WriteQueue

with WriteQueue(Path(sys.argv[1])).turn():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a queue."""
    return tmp_path / "log.turn"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the turn until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.communicate()


def queue_of(path: Path) -> WriteQueue:
    """Wait for so long that a slow machine does not look like a queue that lets two in."""
    return WriteQueue(path, longest_wait_seconds=60)


def increment(path: Path, number: Path) -> None:
    """Read a number and write the next one: what two at once would do wrong."""
    queue = queue_of(path)
    with queue.turn():
        number.write_text(str(int(number.read_text()) + 1))
    queue.close()


def test_queues_of_one_file_take_turns(path: Path, tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(increment, path, number) for _ in range(200)]:
            each.result()
    assert number.read_text() == "200"


def test_threads_of_one_queue_take_turns(path: Path, tmp_path: Path) -> None:
    queue = queue_of(path)
    number = tmp_path / "number"
    number.write_text("0")

    def enter() -> None:
        with queue.turn():
            number.write_text(str(int(number.read_text()) + 1))

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(enter) for _ in range(200)]:
            each.result()
    assert number.read_text() == "200"


def test_turn_comes_when_its_holder_is_killed(path: Path, holder: subprocess.Popen[bytes]) -> None:
    entered = Event()

    begun = Event()

    def enter() -> None:
        begun.set()
        with queue_of(path).turn():
            entered.set()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(enter)
        assert begun.wait(30)
        assert not entered.is_set()
        holder.send_signal(signal.SIGKILL)
        waiting.result(30)
    assert entered.is_set()


@pytest.mark.usefixtures("holder")
def test_a_writer_that_waited_too_long_for_a_process_goes_on(path: Path) -> None:
    queue = WriteQueue(path, longest_wait_seconds=0.05)
    entered = []
    with queue.turn():
        entered.append(1)
    with queue.turn():
        entered.append(2)
    assert entered == [1, 2]


def test_a_writer_that_waited_too_long_for_a_thread_goes_on(path: Path) -> None:
    queue = WriteQueue(path, longest_wait_seconds=0.05)
    entered = []
    with queue.turn(), queue.turn():
        entered.append("inner")
    with queue.turn():
        entered.append("later")
    assert entered == ["inner", "later"]


def test_failure_inside_gives_the_turn_back(path: Path) -> None:
    queue = queue_of(path)
    with pytest.raises(KeyError), queue.turn():
        raise KeyError
    with ThreadPoolExecutor(1) as pool:
        pool.submit(increment, path, _number(path)).result(file_locks.LONGEST_WAIT_SECONDS / 2)


def test_fork_does_not_share_its_parents_turn(path: Path) -> None:
    queue = queue_of(path)
    with queue.turn():
        pass
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if _takes_an_own_descriptor(queue) else 1
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def _number(path: Path) -> Path:
    number = path.with_name("number")
    number.write_text("0")
    return number


def _takes_an_own_descriptor(queue: WriteQueue) -> bool:
    before = queue._file
    with queue.turn():
        return queue._file is not None and queue._file != before


def test_a_turn_is_taken_without_a_file_when_there_can_be_none(tmp_path: Path) -> None:
    queue = WriteQueue(tmp_path / "missing" / "log.turn")
    with queue.turn():
        assert not (tmp_path / "missing").exists()
    queue.close()


def test_a_lock_needs_no_room_on_the_disk(path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with held(path, "part"):
            assert str(holder_of(path)) == "held by a process that is just starting"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert holder_of(path) is None


def test_a_lock_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"cannot write .*/missing/part.lock: No such file"),
        held(tmp_path / "missing" / "part.lock", "part"),
    ):
        raise AssertionError
