"""The actions of a protocol dialogue, and the exception that ends it when the server fails.

A dialogue is a generator: it yields actions, which `mail.prober` performs, and is resumed
with the bytes that the action asked for (with b"" where it asks for none). It returns when
the server can be used and raises `ProbeFailed` when it cannot. It has no socket and no clock.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeAlias

from domain.check import Category, LoginFacts, Phase


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
    """Record a finding that is not a failure. The code is stored in events.

    `quoted` are words of the server, which end the message. They are cleaned there.
    """

    code: str
    message: str
    quoted: bytes = b""


@dataclass(frozen=True, slots=True)
class Learn:
    """Record what is known of logins now; it replaces what was recorded before."""

    login: LoginFacts


@dataclass(frozen=True, slots=True)
class BindChannel:
    """Ask for the channel binding of the TLS connection (RFC 5056).

    The answer is its type, NUL and its data, or b"" where the connection has none.
    """


@dataclass(frozen=True, slots=True)
class DrawNonce:
    """Ask for a fresh random text for a login: printable ASCII without comma."""


@dataclass(frozen=True, slots=True)
class DeriveKey:
    """Ask for a key that is derived from a password by PBKDF2 (RFC 8018 5.2).

    It may take a while. `hash_name` is a name of hashlib.
    """

    hash_name: str
    password: bytes = field(repr=False)
    salt: bytes
    iterations: int


Action: TypeAlias = (
    Send | Receive | Upgrade | Enter | Warn | Learn | BindChannel | DrawNonce | DeriveKey
)
Dialogue: TypeAlias = Generator[Action, bytes, None]

RECEIVE = Receive()
UPGRADE = Upgrade()

PLAINTEXT = Warn("plaintext", "the server offers no TLS, so everything crossed the wire in clear")
PASSWORD_IN_CLEAR = Warn("password_in_clear", "the password crossed the wire unencrypted")


class ProbeFailed(Exception):  # noqa: N818 (it is a finding about a server, not an error of ours)
    """A step of a probe shows that the server cannot be used; never a bug in Postwatch.

    The prober turns it into an outcome, so it does not leave the package `mail`. `reply` holds
    the server's words as they came, and `quoted` those of its words that end the message; they
    are cleaned when they become part of the outcome, and they are not in the text of the
    exception, because a server may echo a password. `phase` overrides the phase that the probe
    is in.
    """

    def __init__(
        self,
        category: Category,
        message: str,
        *,
        reply: bytes | None = None,
        quoted: bytes = b"",
        phase: Phase | None = None,
    ) -> None:
        super().__init__(message)
        self.category = category
        self.message = message
        self.reply = reply
        self.quoted = quoted
        self.phase = phase


# Failures that every protocol can have, so that all of them say the same words.

# How services greet that are often found on the port of another one.
_OTHER_SERVICES = (
    (b"HTTP/", "the answer is HTTP"),
    (b"SSH-", "the answer is SSH"),
    (b"PROXY ", "the answer is a PROXY protocol header, which is meant for servers"),
    (b"* OK", "the answer is IMAP"),
    (b"+OK", "the answer is POP3"),
    (b'"IMPLEMENTATION"', "the answer is ManageSieve"),
    (b"220", "the answer is SMTP or FTP"),
)


def other_protocol(category: Category, name: str, answer: bytes) -> ProbeFailed:
    """Return the failure of an answer that is not in the protocol `name`; say what it is."""
    start = answer[:20].upper()
    found = (words for sign, words in _OTHER_SERVICES if start.startswith(sign))
    recognised = next(found, None)
    message = f"{recognised}, not {name}" if recognised else f"the answer is not {name}"
    return ProbeFailed(category, message, reply=answer)


def greeting_refused(reply: bytes, *, temporary: bool) -> ProbeFailed:
    """Return the failure of a server whose greeting is a refusal."""
    category = Category.GREETING_TEMPORARY if temporary else Category.GREETING_REJECTED
    return ProbeFailed(category, "the server greets with a refusal", reply=reply)


def service_closing(reply: bytes) -> ProbeFailed:
    """Return the failure of a server that ends the session of its own accord."""
    return ProbeFailed(Category.SERVICE_UNAVAILABLE, "the server closes the service", reply=reply)


def starttls_not_offered(reply: bytes, command: str = "STARTTLS", hint: str = "") -> ProbeFailed:
    """Return the failure of a server that must offer TLS and does not; `reply` is its offer."""
    return ProbeFailed(
        Category.STARTTLS_UNAVAILABLE,
        f"the server does not offer {command}{hint}",
        reply=reply,
        phase=Phase.STARTTLS,
    )


def starttls_refused(reply: bytes, command: str = "STARTTLS") -> ProbeFailed:
    """Return the failure of a server that offers TLS and then refuses it."""
    return ProbeFailed(
        Category.STARTTLS_REJECTED, f"{command} is offered and then refused", reply=reply
    )


def proof_refused(command: str, reply: bytes) -> Warn:
    """Return the finding that a server refuses a command that every server takes."""
    return Warn("noop_refused", f"the login works and the server refuses {command}", reply)
