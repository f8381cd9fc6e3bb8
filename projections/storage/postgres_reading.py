"""Where readers read: from the primary as long as it answers, else from a replica.

Who has written something finds it on the primary. A replica may be behind, and is asked
only when the choice is between an old answer and none.
"""

from __future__ import annotations

import logging
import time
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

from domain.storage.failures import STORE_AWAY
from domain.storage.postgres_connections import ANSWER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.storage.postgres_connections import Connection, Connections

log = logging.getLogger("postwatch.projections")

LOOK_AGAIN_SECONDS: Final = 5.0
"""How long nobody asks a primary that was away. Then one asks, and may have to wait for it."""

T = TypeVar("T")


class Reading:
    """Lends connections for reading. The threads of a process share one."""

    def __init__(
        self,
        primary: Connections,
        replica: Connections | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._primary = primary
        self._replica = replica
        self._clock = clock
        self._away_until: float | None = None
        self._deciding = Lock()

    def run(self, work: Callable[[Connection], T]) -> T:
        """Let `work` read, and return what it does; on the replica if the primary is away.

        `work` may be done twice. Raises an error of STORE_AWAY when nobody answers.
        """
        if self._replica is None:
            with self._primary.get(answer_seconds=ANSWER_SECONDS) as connection:
                return work(connection)
        if self._is_worth_asking():
            try:
                with self._primary.get(answer_seconds=ANSWER_SECONDS) as connection:
                    found = work(connection)
            except STORE_AWAY:
                self._note_away()
            else:
                self.note_answer()
                return found
        with self._replica.get(answer_seconds=ANSWER_SECONDS) as connection:
            return work(connection)

    def note_answer(self) -> None:
        """Note that the primary has answered, so that the next one asks it again."""
        if self._away_until is not None:
            self._away_until = None
            log.info("the database answers again; reads go there")

    def close(self) -> None:
        """Close all connections."""
        self._primary.close()
        if self._replica is not None:
            self._replica.close()

    def _is_worth_asking(self) -> bool:
        """Return whether the primary is there, as far as is known, or whether to look again."""
        with self._deciding:
            if self._away_until is None:
                return True
            if self._clock() < self._away_until:
                return False
            # Only this one waits for an answer. The others go on with the replica meanwhile.
            self._away_until = self._clock() + LOOK_AGAIN_SECONDS
            return True

    def _note_away(self) -> None:
        if self._away_until is None:
            log.warning("the database does not answer; reads go to its replica")
        self._away_until = self._clock() + LOOK_AGAIN_SECONDS
