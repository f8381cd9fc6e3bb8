"""How the parts of a probe say that the server, or the way to it, failed.

Raised inside the checker only: `checker.probe` turns it into an outcome, so that nobody
outside ever sees it. A mistake of ours is never one of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.outcome import Category, Phase


class ProbeFailed(Exception):  # noqa: N818 (it is a finding about a server, not an error of ours)
    """A step of a probe showed that the server cannot be used.

    `reply` holds the server's words as they came: they are cleaned only where they become
    part of an outcome. They are kept out of the text of the exception, because a server
    may echo a password. `phase` overrides the phase in which the probe stands.
    """

    def __init__(
        self,
        category: Category,
        message: str,
        *,
        reply: bytes | None = None,
        phase: Phase | None = None,
    ) -> None:
        super().__init__(message)
        self.category = category
        self.message = message
        self.reply = reply
        self.phase = phase
