"""The actions of a protocol dialogue, and the exception that ends it when the server fails.

A dialogue is a generator: it yields actions, which `mail.prober` performs, and is resumed
with the bytes that a `Receive` asked for (with b"" after any other action). It returns when
the server can be used and raises `ProbeFailed` when it cannot. It has no socket and no clock.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

from domain.check import Category, Phase


@dataclass(frozen=True, slots=True)
class Send:
    """Send one line: `text`, then `secret`, which is never shown, then `end`."""

    text: bytes
    secret: bytes = b""
    end: bytes = b""

    @property
    def line(self) -> bytes:
        """The line as it goes over the wire."""
        return b"%b%b%b\r\n" % (self.text, self.secret, self.end)

    @property
    def shown(self) -> bytes:
        """The line as a trace shows it: the secret masked, no line end."""
        return b"%b%b%b" % (self.text, b"***" if self.secret else b"", self.end)


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for the next line, or for exactly `octets` bytes, which may hold line ends."""

    octets: int | None = None


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Start TLS now, and judge the certificate before the dialogue goes on."""


@dataclass(frozen=True, slots=True)
class Enter:
    """Begin the next phase. From `Phase.QUIT` on, no failure makes the server down any more."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Warn:
    """Record a finding that is not a failure. The code is stored in events."""

    code: str
    message: str


Action: TypeAlias = Send | Receive | Upgrade | Enter | Warn
Dialogue: TypeAlias = Generator[Action, bytes, None]

RECEIVE = Receive()
UPGRADE = Upgrade()

PLAINTEXT = Warn("plaintext", "the server offers no TLS, so everything crossed the wire in clear")
PASSWORD_IN_CLEAR = Warn("password_in_clear", "the password crossed the wire unencrypted")


class ProbeFailed(Exception):  # noqa: N818 (it is a finding about a server, not an error of ours)
    """A step of a probe shows that the server cannot be used; never a bug in Postwatch.

    The prober turns it into an outcome, so it does not leave the package `mail`. `reply` holds
    the server's words as they came; they are cleaned when they become part of the outcome, and
    they are not in the text of the exception, because a server may echo a password. `phase`
    overrides the phase that the probe is in.
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


# Failures that every protocol can have, so that all of them say the same words.


def greeting_refused(reply: bytes, *, temporary: bool) -> ProbeFailed:
    """Return the failure of a server whose greeting is a refusal."""
    category = Category.GREETING_TEMPORARY if temporary else Category.GREETING_REJECTED
    return ProbeFailed(category, "the server greets with a refusal", reply=reply)


def service_closing(reply: bytes) -> ProbeFailed:
    """Return the failure of a server that ends the session of its own accord."""
    return ProbeFailed(Category.SERVICE_UNAVAILABLE, "the server closes the service", reply=reply)


def starttls_not_offered(command: str = "STARTTLS") -> ProbeFailed:
    """Return the failure of a server that must offer TLS and does not."""
    return ProbeFailed(
        Category.STARTTLS_UNAVAILABLE,
        f"the server does not offer {command}",
        phase=Phase.STARTTLS,
    )


def starttls_refused(reply: bytes, command: str = "STARTTLS") -> ProbeFailed:
    """Return the failure of a server that offers TLS and then refuses it."""
    return ProbeFailed(
        Category.STARTTLS_REJECTED, f"{command} is offered and then refused", reply=reply
    )


def no_login_offered(reply: bytes | None = None, *, needs_tls: bool) -> ProbeFailed:
    """Return the failure of a server that offers no known login, or none without TLS."""
    if needs_tls:
        category, message = Category.AUTH_DISABLED, "the server allows no login without TLS"
    else:
        category, message = Category.AUTH_UNAVAILABLE, "the server offers no login that we know"
    return ProbeFailed(category, message, reply=reply)


def login_refused(reply: bytes, *, needs_tls: bool = False, temporary: bool = False) -> ProbeFailed:
    """Return the failure of a server that refuses the login."""
    if needs_tls:
        category, message = Category.AUTH_REQUIRES_TLS, "the server wants TLS before a login"
    elif temporary:
        category, message = Category.AUTH_TEMPORARY, "the server cannot check the login now"
    else:
        category, message = Category.AUTH_FAILED, "the server refuses the login"
    return ProbeFailed(category, message, reply=reply)
