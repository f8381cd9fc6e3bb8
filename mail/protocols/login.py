"""Logs in: chooses among the ways that a server offers, and goes on to the next one.

The four protocols share this file. Each brings a channel, which carries the messages of a
SASL mechanism in its own commands, and ways to log in that it has beside SASL. A server judges
a password at most once in a check: the next way is tried only while no password was judged.
"""

from __future__ import annotations

import binascii
import re
from abc import ABC, abstractmethod
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from domain.check import Category, LoginFacts
from mail.protocols import sasl
from mail.protocols.dialogue import (
    PASSWORD_IN_CLEAR,
    Action,
    BindChannel,
    Learn,
    ProbeFailed,
    Warn,
)
from mail.protocols.refusals import Meaning, Refusal
from mail.protocols.sasl import Shows
from mail.protocols.scram import ScramExchange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mail.protocols.sasl import Exchange, Response
    from mail.protocols.target import Credentials, ProbeTarget


class AuthState(Enum):
    """What an answer in a SASL exchange is."""

    ACCEPTED = "accepted"
    CHALLENGE = "challenge"
    REFUSED = "refused"


class AuthAnswer(NamedTuple):
    """One answer of a server. `data` is a challenge, or what comes with acceptance, in base64."""

    state: AuthState
    data: bytes = b""
    refusal: Refusal | None = None


AuthSteps: TypeAlias = Generator[Action, bytes, AuthAnswer]


class SaslChannel(ABC):
    """Carries the messages of a mechanism in the commands of a protocol. Texts are base64."""

    takes_initial: bool

    @abstractmethod
    def start(self, name: bytes, initial: bytes | None) -> AuthSteps:
        """Begin a mechanism, with its first response where the protocol takes one."""

    @abstractmethod
    def respond(self, response: bytes) -> AuthSteps:
        """Answer a challenge."""

    @abstractmethod
    def cancel(self) -> AuthSteps:
        """Break the exchange off."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one way to log in ended: not refused, or refused after the server had seen so much."""

    refusal: Refusal | None
    shown: Shows


AttemptSteps: TypeAlias = Generator[Action, bytes, Attempt]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to log in. `reveals` says that the server, or who listens, gets the secret."""

    name: str
    attempt: Callable[[], AttemptSteps]
    reveals: bool = True


@dataclass(frozen=True, slots=True)
class _Mechanism:
    start: Callable[[Credentials], Exchange]
    reveals: bool = True


_MECHANISMS: Final[Mapping[str, _Mechanism]] = {
    "PLAIN": _Mechanism(sasl.plain),
    "LOGIN": _Mechanism(sasl.login),
    "CRAM-MD5": _Mechanism(sasl.cram_md5, reveals=False),
    "XOAUTH2": _Mechanism(sasl.xoauth2),
    "OAUTHBEARER": _Mechanism(sasl.oauthbearer),
}
_SCRAM_HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
_PLUS: Final = "-PLUS"

# The order. SCRAM first: the server proves that it knows the password. Inside TLS PLAIN comes
# before CRAM-MD5, because many servers offer CRAM-MD5 without storing what it needs.
_TOKENS: Final = ("OAUTHBEARER", "XOAUTH2")
_PROVING: Final = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1")
_DIGESTS: Final = ("CRAM-MD5", "APOP")

_NAME: Final = re.compile(rb"[A-Z0-9_-]{1,20}")
_MOST_NAMES: Final = 32


def mechanism_names(words: Iterable[bytes]) -> tuple[str, ...]:
    """Return the names of mechanisms among words of a server, each once, in its order."""
    names = dict.fromkeys(each for each in words if _NAME.fullmatch(each))
    return tuple(each.decode("ascii") for each in list(names)[:_MOST_NAMES])


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginOffer:
    """What a server offers, as its protocol found out.

    `names` are SASL mechanisms, `methods` other ways. `passwords` is the order of the ways
    that send the password itself. `reveal_is_forbidden` says that the server forbids those on
    this connection; `tls_is_offered` that TLS could still be started.
    """

    names: tuple[str, ...]
    methods: tuple[Method, ...] = ()
    passwords: tuple[str, ...] = ("PLAIN", "LOGIN")
    encrypted: bool
    reveal_is_forbidden: bool = False
    tls_is_offered: bool = False
    min_interval_seconds: int | None = None

    @property
    def shown_names(self) -> tuple[str, ...]:
        """All names, for people and for the facts of the check."""
        return (*self.names, *(each.name for each in self.methods))


def log_in(
    target: ProbeTarget, credentials: Credentials, channel: SaslChannel, offer: LoginOffer
) -> Generator[Action, bytes, bool]:
    """Log in; return whether the mailbox can be used (False: another session holds it).

    Raises:
        ProbeFailed: No way is usable, or the server refuses the login.
    """
    facts = LoginFacts(offered=offer.shown_names, min_interval_seconds=offer.min_interval_seconds)
    yield Learn(facts)
    methods = yield from _usable_methods(target, credentials, channel, offer)
    if not methods:
        raise _no_login(credentials, offer)
    last = Attempt(None, Shows.NOTHING)
    for method in methods:
        facts = replace(facts, used=method.name)
        yield Learn(facts)
        last = yield from method.attempt()
        refusal = last.refusal
        facts = replace(
            facts,
            secret_was_sent=last.shown is Shows.SECRET,
            is_known_refusal=refusal is None or refusal.is_known,
        )
        if refusal is None:
            yield Learn(facts)
            return True
        if refusal.meaning in _HELD:
            yield Learn(facts)
            yield Warn(*_HELD[refusal.meaning], refusal.reply)
            return False
        if not _may_go_on(last, refusal):
            yield Learn(facts)
            raise _refused(last, refusal, method.name)
        facts = replace(facts, refused=(*facts.refused, method.name))
    yield Learn(facts)
    raise _all_refused(last, facts)


# The login was right, and something else holds the mailbox: RFC 2449 8.1.
_HELD: Final[Mapping[Meaning, tuple[str, str]]] = {
    Meaning.IN_USE: (
        "mailbox_in_use",
        "the login is right, and another session holds the mailbox",
    ),
    Meaning.LOGIN_DELAY: (
        "login_delay",
        "the login is right, and the server wants more time between two logins",
    ),
}


def _usable_methods(
    target: ProbeTarget, credentials: Credentials, channel: SaslChannel, offer: LoginOffer
) -> Generator[Action, bytes, list[Method]]:
    """Return the ways to try, in their order."""
    plus = [each for each in offer.names if each in _PROVING and each.endswith(_PLUS)]
    can_bind = bool(plus and offer.encrypted and (yield BindChannel()))
    found = {each.name: each for each in offer.methods}
    for name in offer.names:
        if not name.endswith(_PLUS) or can_bind:
            method = _sasl_method(name, credentials, channel, offer)
            if method is not None:
                found.setdefault(name, method)
    order: tuple[str, ...] = ()
    if credentials.access_token:
        order += _TOKENS
    if credentials.password:
        digests, passwords = _DIGESTS, offer.passwords
        order += _PROVING
        order += (*passwords, *digests) if offer.encrypted else (*digests, *passwords)
    usable = [found[each] for each in order if each in found]
    if offer.reveal_is_forbidden:
        usable = [each for each in usable if not each.reveals]
    return [each for each in usable if each.name not in target.avoided_logins] or usable


def _sasl_method(
    name: str, credentials: Credentials, channel: SaslChannel, offer: LoginOffer
) -> Method | None:
    base = name.removesuffix(_PLUS)
    reveals = False
    start: Callable[[], Exchange]
    if base in _SCRAM_HASHES:
        start = partial(
            ScramExchange,
            _SCRAM_HASHES[base],
            credentials,
            plus=name != base,
            server_offers_plus=base + _PLUS in offer.names,
        )
    elif name in _MECHANISMS:
        mechanism = _MECHANISMS[name]
        start, reveals = partial(mechanism.start, credentials), mechanism.reveals
    else:
        return None
    warns = reveals and not offer.encrypted
    attempt = partial(_attempt, name.encode("ascii"), start, channel, warns=warns)
    return Method(name, attempt, reveals)


def _attempt(
    name: bytes, start: Callable[[], Exchange], channel: SaslChannel, *, warns: bool
) -> AttemptSteps:
    """Run one SASL mechanism to its end."""
    exchange, shown = start(), Shows.NOTHING
    first = yield from exchange.initial()
    initial = first if channel.takes_initial else None
    if initial is not None:
        shown = initial.shows
        yield from _warn(initial, warns=warns)
    answer = yield from channel.start(name, _encoded(initial))
    pending = first if initial is None else None
    while answer.state is AuthState.CHALLENGE:
        response = pending
        if response is None:
            response = yield from _respond(exchange, channel, answer.data)
        pending = None
        if response is None:
            # One more challenge than the mechanism has responses.
            answer = yield from channel.cancel()
            if answer.state is AuthState.REFUSED:
                break
            raise sasl.malformed("the login is asked for more than it has")
        shown = max(shown, response.shows)
        yield from _warn(response, warns=warns)
        answer = yield from channel.respond(b64encode(response.data))
    if answer.state is AuthState.ACCEPTED:
        exchange.finish(_decoded(answer.data) if answer.data else None)
    return Attempt(answer.refusal, shown)


def _respond(
    exchange: Exchange, channel: SaslChannel, challenge: bytes
) -> Generator[Action, bytes, Response | None]:
    try:
        return (yield from exchange.respond(_decoded(challenge)))
    except ProbeFailed:
        # The server waits for a response: a farewell would be taken for one.
        yield from channel.cancel()
        raise


def _warn(response: Response, *, warns: bool) -> Generator[Action, bytes, None]:
    if warns and response.shows is Shows.SECRET and response.data:
        yield PASSWORD_IN_CLEAR


def _encoded(response: Response | None) -> bytes | None:
    return None if response is None else b64encode(response.data)


def _decoded(text: bytes) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _may_go_on(attempt: Attempt, refusal: Refusal) -> bool:
    """Return whether the next way may be tried: the server has not judged the password."""
    if refusal.meaning is Meaning.MECHANISM:
        return True
    return refusal.meaning is Meaning.CREDENTIALS and attempt.shown is not Shows.SECRET


def _refused(attempt: Attempt, refusal: Refusal, name: str) -> ProbeFailed:
    match refusal.meaning:
        case Meaning.NEEDS_TLS if attempt.shown is Shows.SECRET:
            category, message = Category.AUTH_REQUIRES_TLS, "the server wants TLS before a login"
        case Meaning.NEEDS_TLS:
            category, message = Category.AUTH_DISABLED, "the server allows no login without TLS"
        case Meaning.LIMITED:
            category = Category.RATE_LIMITED
            message = "the server refuses the login because there are too many of them"
        case Meaning.TEMPORARY:
            category, message = Category.AUTH_TEMPORARY, "the server cannot check the login now"
        case Meaning.PROTOCOL:
            category = Category.PROTOCOL_ERROR
            message = f"the server does not understand the login ({name})"
        case _:
            category, message = Category.AUTH_FAILED, f"the server refuses the login ({name})"
    return ProbeFailed(category, message, reply=refusal.reply)


def _all_refused(last: Attempt, facts: LoginFacts) -> ProbeFailed:
    reply = last.refusal.reply if last.refusal else None
    if last.refusal and last.refusal.meaning is Meaning.CREDENTIALS and last.shown is Shows.USER:
        message = f"the server refuses the user before it knows the password ({facts.used})"
        return ProbeFailed(Category.AUTH_FAILED, message, reply=reply)
    tried = ", ".join(facts.refused)
    message = f"the server refuses every way to log in that it offers ({tried})"
    return ProbeFailed(Category.AUTH_UNAVAILABLE, message, reply=reply)


def _no_login(credentials: Credentials, offer: LoginOffer) -> ProbeFailed:
    """Return why none of the offered ways can be used, and what to do."""
    names = offer.shown_names
    offered = ", ".join(names).encode("ascii")
    hint = ""
    if offer.tls_is_offered and not offer.encrypted:
        hint = "; it offers STARTTLS, and may offer a login after it"
    if offer.reveal_is_forbidden:
        return ProbeFailed(Category.AUTH_DISABLED, "the server allows no login without TLS")
    if not names:
        message = f"the server offers no login{hint}"
    elif not credentials.password:
        message = f"the monitor has an OAuth token, and the server takes none{hint}; it offers"
    elif set(names) <= set(_TOKENS):
        message = (
            "the server takes only OAuth tokens; give one as auth.accessToken instead of a "
            "password. It offers"
        )
    else:
        obsolete = " (DIGEST-MD5 is obsolete, RFC 6331)" if "DIGEST-MD5" in names else ""
        message = f"the server offers no login that Postwatch can use{obsolete}{hint}; it offers"
    return ProbeFailed(Category.AUTH_UNAVAILABLE, message, quoted=offered)
