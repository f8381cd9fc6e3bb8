"""What a protocol dialogue asks of the transport, and nothing of how it is done.

A dialogue is a generator: it yields actions and is resumed with the line that a `Receive`
asked for (with b"" after any other action). It ends by returning when the server can be
used, and by raising `ProbeFailed` when it cannot. It never touches a socket or a clock.

How the parts of a probe say that the server, or the way to it, failed.

Raised inside the checker only: `mail.prober` turns it into an outcome, so that nobody
outside ever sees it. A mistake of ours is never one of these.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from domain.check import Category, Phase


@dataclass(frozen=True, slots=True)
class Send:
    """Send one line. `secret` is its end that may be shown to nobody."""

    text: bytes
    secret: bytes = b""

    @property
    def line(self) -> bytes:
        """The line as it goes over the wire."""
        return b"%b%b\r\n" % (self.text, self.secret)


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for the next line."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Start TLS now, and judge the certificate before going on."""


@dataclass(frozen=True, slots=True)
class Enter:
    """The next phase begins. From `Phase.QUIT` on, nothing makes the server down any more."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Warn:
    """Something worth knowing that is not a failure."""

    code: str
    message: str


Action: TypeAlias = Send | Receive | Upgrade | Enter | Warn
Dialogue: TypeAlias = Generator[Action, bytes, None]

RECEIVE = Receive()
UPGRADE = Upgrade()

# Findings that more than one dialogue has; the codes are stored in events.
PLAINTEXT = Warn("plaintext", "the server offers no TLS, so everything crossed the wire in clear")
PASSWORD_IN_CLEAR = Warn("password_in_clear", "the password crossed the wire unencrypted")


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
