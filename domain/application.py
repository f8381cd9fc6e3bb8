"""Running commands on a log that several threads and processes write."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from eventsourcing.persistence import IntegrityError

from domain.errors import ConflictError, LostEventsError

R = TypeVar("R")
Turn = Callable[[], AbstractContextManager[object]]
"""Returns a context in which one writer works at a time, where the store has such a queue."""

ATTEMPTS: Final = 100
"""How often a command is tried after losing races. In each round one of the writers wins."""


class CommandRunner:
    """Runs commands one at a time, and again when another writer was first.

    `turn` queues the writers. `forget_aggregates` drops cached aggregates after the log lost
    events that they were made from.
    """

    def __init__(self, turn: Turn, forget_aggregates: Callable[[], None]) -> None:
        self._turn = turn
        self._forget_aggregates = forget_aggregates

    def run(self, attempt: Callable[[], R]) -> R:
        """Return what an attempt returns once it stored its events.

        Raises ConflictError after too many lost races. The cause is not chained: the text of an
        IntegrityError holds event data.
        """
        for _ in range(ATTEMPTS):
            try:
                with self._turn():
                    return attempt()
            except LostEventsError:
                self._forget_aggregates()
            except IntegrityError:
                continue
        raise ConflictError("too many changes at the same time; try again")
