"""One connection to PostgreSQL that does not wait for ever, and tells a commit in doubt."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from domain.storage.postgres_trouble import InDoubtError, SilentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg.abc import PQGen
    from psycopg.errors import Diagnostic

T = TypeVar("T")

_WAITS_FOR_STANDBY = "SyncRepWaitForLSN"
"""The server's function that warns when a commit no longer waits for a standby."""


class Session(psycopg.Connection[Any]):
    """A connection whose every answer must come within some seconds, where that is set.

    The kernel of a frozen server still acknowledges what it is sent, and a primary whose
    synchronous standby is away lets every commit wait: only a clock notices either.
    """

    answer_seconds: float | None = None
    _is_in_doubt = False

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for an answer. Raises SilentError, with the connection closed, when none comes."""
        if timeout is not None or self.answer_seconds is None:
            return super().wait(gen, interval, timeout)
        deadline = time.monotonic() + self.answer_seconds
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.OperationalError as error:
            if time.monotonic() < deadline:
                raise
            # Whatever comes now would be taken for the answer to something else.
            self.pgconn.finish()
            raise SilentError(f"no answer within {self.answer_seconds:g} s") from error

    def watch_commits(self) -> None:
        """Remember when somebody has a commit not wait for its standby any more."""
        self.add_notice_handler(self._note)

    def begin_certain(self) -> None:
        """Forget what was in doubt before: whoever had this connection then has failed."""
        self._is_in_doubt = False

    def require_certain(self) -> None:
        """Raise InDoubtError if a commit since may not be where it would outlive the primary."""
        if self._is_in_doubt:
            raise InDoubtError("a commit was broken off while it waited for a synchronous standby")

    def _note(self, notice: Diagnostic) -> None:
        # Not by its words, which the server may say in any language.
        if notice.source_function == _WAITS_FOR_STANDBY:
            self._is_in_doubt = True


@contextmanager
def closed_on_failure(session: Session) -> Iterator[None]:
    """Close a new connection if it cannot be made ready in this block."""
    try:
        yield
    except BaseException:
        session.close()
        raise
