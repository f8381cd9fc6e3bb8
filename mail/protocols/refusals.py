"""What a refused login means: one table of codes and phrases.

Mail servers say "no" in many ways, and only some of them are about the password. The code of
an answer decides first, then phrases in it, in the order of the table. What matches nothing is
taken for a refused password.

To add a phrase: put a line into `PHRASES`, in lower case, with an answer of a real server as
its example, and the same line into the table of docs/checks.md. A test reads both.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from mail.protocols.target import ProtocolName


class Meaning(StrEnum):
    """What a server means by refusing a login."""

    CREDENTIALS = "credentials"
    """User or password are wrong, or the account is closed to this login."""
    TEMPORARY = "temporary"
    """The server cannot check the login now."""
    LIMITED = "limited"
    """Too many logins or connections; the server wants fewer."""
    NEEDS_TLS = "needs TLS"
    """No login before TLS."""
    MECHANISM = "mechanism"
    """This mechanism is not accepted; another one may be."""
    IN_USE = "mailbox in use"
    """The login was right, and another session holds the mailbox (RFC 2449 8.1.2)."""
    LOGIN_DELAY = "login delay"
    """The login came too soon after the last one (RFC 2449 8.1.1)."""
    PROTOCOL = "protocol"
    """The server did not understand the command."""


_ALL: Final = frozenset(Meaning)
_NOT_THE_PASSWORD: Final = _ALL - {Meaning.CREDENTIALS}


class CodeRule(NamedTuple):
    """The meaning of a code of a protocol, unless a phrase means one of `unless`."""

    protocol: ProtocolName
    code: str
    meaning: Meaning
    unless: frozenset[Meaning] = frozenset()


class PhraseRule(NamedTuple):
    """The meaning of a phrase, in lower case, and an answer of a server that has it."""

    phrase: str
    meaning: Meaning
    example: str


CODES: Final[tuple[CodeRule, ...]] = (
    # RFC 4954 6, RFC 5248. A code of one digit stands for all that begin with it.
    CodeRule("smtp", "535", Meaning.CREDENTIALS, _NOT_THE_PASSWORD),
    CodeRule("smtp", "534", Meaning.CREDENTIALS, _NOT_THE_PASSWORD),
    CodeRule("smtp", "525", Meaning.CREDENTIALS),
    CodeRule("smtp", "530", Meaning.NEEDS_TLS),
    CodeRule("smtp", "538", Meaning.NEEDS_TLS),
    CodeRule("smtp", "523", Meaning.NEEDS_TLS),
    CodeRule("smtp", "500", Meaning.MECHANISM),
    CodeRule("smtp", "502", Meaning.MECHANISM),
    CodeRule("smtp", "503", Meaning.MECHANISM),
    CodeRule("smtp", "504", Meaning.MECHANISM),
    CodeRule("smtp", "432", Meaning.MECHANISM),
    CodeRule("smtp", "501", Meaning.PROTOCOL, _ALL),
    CodeRule("smtp", "4", Meaning.TEMPORARY, frozenset({Meaning.LIMITED})),
    # RFC 5530 3, RFC 9051 7.1. BAD is a status, not a code.
    CodeRule("imap", "AUTHENTICATIONFAILED", Meaning.CREDENTIALS),
    CodeRule("imap", "AUTHORIZATIONFAILED", Meaning.CREDENTIALS),
    CodeRule("imap", "EXPIRED", Meaning.CREDENTIALS),
    CodeRule("imap", "UNAVAILABLE", Meaning.TEMPORARY, frozenset({Meaning.LIMITED})),
    CodeRule("imap", "INUSE", Meaning.TEMPORARY),
    CodeRule("imap", "IN-USE", Meaning.TEMPORARY),
    CodeRule("imap", "LOGIN-DELAY", Meaning.LIMITED),
    CodeRule("imap", "SYS/TEMP", Meaning.TEMPORARY),
    CodeRule("imap", "SERVERBUG", Meaning.TEMPORARY),
    CodeRule("imap", "CONTACTADMIN", Meaning.TEMPORARY),
    CodeRule("imap", "LIMIT", Meaning.LIMITED),
    CodeRule("imap", "PRIVACYREQUIRED", Meaning.NEEDS_TLS),
    CodeRule("imap", "CANNOT", Meaning.MECHANISM),
    CodeRule(
        "imap",
        "BAD",
        Meaning.PROTOCOL,
        frozenset({Meaning.MECHANISM, Meaning.NEEDS_TLS, Meaning.LIMITED}),
    ),
    # RFC 2449 8.1, RFC 3206.
    CodeRule("pop3", "AUTH", Meaning.CREDENTIALS, frozenset({Meaning.NEEDS_TLS})),
    CodeRule("pop3", "SYS/TEMP", Meaning.TEMPORARY, frozenset({Meaning.LIMITED})),
    CodeRule("pop3", "SYS/PERM", Meaning.TEMPORARY),
    CodeRule("pop3", "IN-USE", Meaning.IN_USE),
    CodeRule("pop3", "LOGIN-DELAY", Meaning.LOGIN_DELAY),
    # RFC 5804 1.3.
    CodeRule("managesieve", "TRYLATER", Meaning.TEMPORARY, frozenset({Meaning.LIMITED})),
    CodeRule("managesieve", "ENCRYPT-NEEDED", Meaning.NEEDS_TLS),
    CodeRule("managesieve", "AUTH-TOO-WEAK", Meaning.MECHANISM),
    CodeRule("managesieve", "TRANSITION-NEEDED", Meaning.MECHANISM),
)

PHRASES: Final[tuple[PhraseRule, ...]] = (
    # Before the others: a refusal of a mechanism or of clear text names them.
    PhraseRule("stls", Meaning.NEEDS_TLS, "-ERR must issue STLS command first"),
    PhraseRule("starttls", Meaning.NEEDS_TLS, "NO must issue STARTTLS command first"),
    PhraseRule("ssl/tls", Meaning.NEEDS_TLS, "-ERR [AUTH] Login disallowed without SSL/TLS"),
    PhraseRule("tls required", Meaning.NEEDS_TLS, "-ERR TLS required"),
    PhraseRule("encrypt", Meaning.NEEDS_TLS, "-ERR Encryption required"),
    PhraseRule("plaintext", Meaning.NEEDS_TLS, "NO Plaintext login is disabled"),
    PhraseRule("cleartext", Meaning.NEEDS_TLS, "-ERR cleartext login is not allowed"),
    PhraseRule("mechanism", Meaning.MECHANISM, "535 5.7.8 Invalid mechanism"),
    PhraseRule("authentication type", Meaning.MECHANISM, "535 Unrecognized authentication type"),
    PhraseRule("invalid command", Meaning.MECHANISM, "-ERR Invalid command."),
    PhraseRule("unknown command", Meaning.MECHANISM, "-ERR unknown command"),
    PhraseRule("unrecognized", Meaning.MECHANISM, "-ERR Unrecognized command"),
    PhraseRule("unsupported", Meaning.MECHANISM, "NO Unsupported method"),
    PhraseRule("not supported", Meaning.MECHANISM, "-ERR APOP is not supported"),
    PhraseRule("not implemented", Meaning.MECHANISM, "-ERR not implemented"),
    PhraseRule("already locked", Meaning.IN_USE, "-ERR maildrop already locked"),
    PhraseRule("maildrop is locked", Meaning.IN_USE, "-ERR maildrop is locked by another session"),
    PhraseRule("mailbox is locked", Meaning.IN_USE, "-ERR Mailbox is locked by POP server"),
    PhraseRule("lock maildrop", Meaning.IN_USE, "-ERR unable to lock maildrop"),
    PhraseRule("lock the maildrop", Meaning.IN_USE, "-ERR cannot lock the maildrop"),
    PhraseRule("too many", Meaning.LIMITED, "NO [ALERT] Too many simultaneous connections"),
    PhraseRule("rate limit", Meaning.LIMITED, "535 Rate limit exceeded"),
    PhraseRule("throttl", Meaning.LIMITED, "NO Account is throttled"),
    PhraseRule("temporar", Meaning.TEMPORARY, "-ERR Temporary problem, please try again later"),
    PhraseRule("unavailable", Meaning.TEMPORARY, "NO Server Unavailable. 15"),
    PhraseRule("internal", Meaning.TEMPORARY, "-ERR internal server error"),
    PhraseRule("could not connect", Meaning.TEMPORARY, "NO failed: Could not connect to server"),
    PhraseRule("cannot connect", Meaning.TEMPORARY, "-ERR cannot connect to the directory"),
    PhraseRule("unable to connect", Meaning.TEMPORARY, "535 Unable to connect to LDAP"),
    PhraseRule("connection lost", Meaning.TEMPORARY, "535 5.7.8 Error: Connection lost to auth"),
    PhraseRule("connection refused", Meaning.TEMPORARY, "NO LDAP: connection refused"),
    PhraseRule("could not open", Meaning.TEMPORARY, "-ERR could not open the mailbox"),
    PhraseRule("chdir", Meaning.TEMPORARY, "-ERR chdir /var/mail/a failed"),
    PhraseRule("timed out", Meaning.TEMPORARY, "NO Authentication request timed out"),
    PhraseRule("timeout", Meaning.TEMPORARY, "-ERR auth timeout"),
    PhraseRule("overload", Meaning.TEMPORARY, "NO System overload"),
    PhraseRule("busy", Meaning.TEMPORARY, "-ERR server busy"),
    PhraseRule("backend", Meaning.TEMPORARY, "NO backend failure"),
    PhraseRule("server error", Meaning.TEMPORARY, "-ERR server error"),
    PhraseRule("system error", Meaning.TEMPORARY, "-ERR system error"),
    PhraseRule("server problem", Meaning.TEMPORARY, "NO Temporary server problem"),
    PhraseRule("database error", Meaning.TEMPORARY, "-ERR database error"),
    PhraseRule("db down", Meaning.TEMPORARY, "-ERR db down"),
    # "Invalid password, please try again" is about the password.
    PhraseRule("password", Meaning.CREDENTIALS, "-ERR invalid password, try again"),
    PhraseRule("credential", Meaning.CREDENTIALS, "NO Invalid credentials (Failure)"),
    PhraseRule("incorrect", Meaning.CREDENTIALS, "535 Incorrect authentication data"),
    PhraseRule("unknown user", Meaning.CREDENTIALS, "-ERR unknown user"),
    PhraseRule("no such user", Meaning.CREDENTIALS, "-ERR no such user in the database"),
    PhraseRule("invalid user", Meaning.CREDENTIALS, "NO Invalid user name"),
    PhraseRule("invalid login", Meaning.CREDENTIALS, "NO Invalid login, try again"),
    PhraseRule("authentication fail", Meaning.CREDENTIALS, "NO Authentication failed"),
    PhraseRule("login failed", Meaning.CREDENTIALS, "NO LOGIN failed"),
    PhraseRule("bad login", Meaning.CREDENTIALS, "-ERR Bad login"),
    PhraseRule("try again", Meaning.TEMPORARY, "-ERR please try again"),
    PhraseRule("try later", Meaning.TEMPORARY, "NO try later"),
    PhraseRule("database", Meaning.TEMPORARY, "NO no connection to the database"),
    PhraseRule("invalid", Meaning.CREDENTIALS, "-ERR invalid"),
)

_CODES: Final = {(each.protocol, each.code): each for each in CODES}
_MOST_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused login: what it means, the words, and whether the table knows them."""

    meaning: Meaning
    reply: bytes
    is_known: bool = True


def read_refusal(
    protocol: ProtocolName,
    code: bytes,
    reply: bytes,
    *,
    encrypted: bool,
    marks_credentials: bool = False,
) -> Refusal:
    """Return what a refused login means.

    `code` is the reply code of SMTP, else the response code, upper case, or b"". Servers with
    `marks_credentials` announce that they mark a wrong password by a code (RFC 3206 5), so
    that a refusal without it is about something else. Phrases about TLS count in clear only.
    """
    phrase = _phrase_in(reply, encrypted=encrypted)
    rule = _rule_for(protocol, code.decode("ascii", "replace"))
    if rule is not None:
        meaning = rule.meaning if phrase not in rule.unless else phrase or rule.meaning
    elif phrase is None:
        if marks_credentials:
            return Refusal(Meaning.TEMPORARY, reply)
        return Refusal(Meaning.CREDENTIALS, reply, is_known=False)
    elif marks_credentials and phrase is Meaning.CREDENTIALS:
        meaning = Meaning.TEMPORARY
    else:
        meaning = phrase
    if meaning is Meaning.IN_USE and protocol != "pop3":
        # Only in POP3 does a session hold a mailbox for itself.
        meaning = Meaning.TEMPORARY
    return Refusal(meaning, reply)


def _rule_for(protocol: ProtocolName, code: str) -> CodeRule | None:
    return _CODES.get((protocol, code)) or _CODES.get((protocol, code[:1]))


def _phrase_in(reply: bytes, *, encrypted: bool) -> Meaning | None:
    words = reply[:_MOST_BYTES].decode("utf-8", "replace").lower()
    for phrase, meaning, _ in PHRASES:
        if phrase in words and not (encrypted and meaning is Meaning.NEEDS_TLS):
            return meaning
    return None
