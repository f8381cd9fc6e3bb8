"""Work in a thread beside that of a process, which ends with it."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from threading import Event


@contextmanager
def keep_in_background(work: Callable[[Event], None], stop: Event, *, name: str) -> Iterator[None]:
    """Run `work` in a thread while the block runs; it returns soon after `stop` is set.

    A bug in it sets `stop`, and is raised when the block ends.
    """
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work(stop)
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            failed.append(error)
            stop.set()

    thread = Thread(target=run, name=name)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]
