"""Access tokens: who may call the API, in which role, for which customer.

A token is shown once, when it is issued. The log keeps its SHA-256: the token has 256
random bits, so a slow password hash would add nothing (contract Q-24).
"""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from math import log2
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from eventsourcing.domain import Aggregate

from domain.errors import ConflictError, InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from domain.actor import Actor
    from domain.commands import IssueToken


PREFIX: Final = "wsm_"
USE_RECORDED_EVERY: Final = timedelta(hours=1)
"""How coarse `lastUsedAt` is: reading must not write an event a request."""

_HINT_LENGTH: Final = 8
_MIN_LENGTH: Final = 32
_LEAST_BITS: Final = 75
"""Random hexadecimal digits of the least length have some 100 bits by this measure."""


def new_token() -> str:
    """Return a new token of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def check_token(token: str) -> str:
    """Return a token that an operator chose. Raises InvalidValueError for a weak one."""
    if not token.startswith(PREFIX) or not token.isascii() or not token.isprintable():
        raise InvalidValueError("invalid", f"must begin with {PREFIX} and be printable ASCII")
    if len(token) < _MIN_LENGTH or " " in token:
        raise InvalidValueError(
            "too_short", f"must have at least {_MIN_LENGTH} characters and no blanks"
        )
    if _is_guessable(token.removeprefix(PREFIX)):
        raise InvalidValueError(
            "weak",
            f"is too easy to guess; take {PREFIX} and 32 random bytes, as `openssl rand -hex 32` "
            "prints them",
        )
    return token


def _is_guessable(secret: str) -> bool:
    """Return whether a secret is one that a person or a pattern made.

    The entropy of its characters and of the steps between them finds few characters and rows of
    neighbours; pairs that occur again find repetitions. Words are not looked up.
    """
    steps = [ord(after) - ord(before) for before, after in pairwise(secret)]
    pairs = list(pairwise(secret))
    bits = len(secret) * min(_entropy(secret), _entropy(steps))
    return bits < _LEAST_BITS or len(set(pairs)) < len(pairs) / 2


def _entropy(values: Sequence[str | int]) -> float:
    """Return the bits of each of some values, if they occur as often as here."""
    shares = [count / len(values) for count in Counter(values).values()]
    return -sum(share * log2(share) for share in shares)


def token_hash(token: str) -> str:
    """Return what is stored of a token."""
    return sha256(token.encode()).hexdigest()


def token_hint(token: str) -> str:
    """Return the beginning of a token, for people to tell tokens apart."""
    return token[:_HINT_LENGTH] + "..."


class AccessToken(Aggregate):
    """A right to call the API."""

    TOPIC = "AccessToken"

    class Event(Aggregate.Event):
        """Base of a token's events."""

        TOPIC = "TokenEvent"

    class Created(Event, Aggregate.Created):
        """A token was issued.

        `customer_id` null: for all customers of the organization. `expires_at` is ISO
        8601 UTC, null: never.
        """

        TOPIC = "TokenIssued"

        number: int
        organization_id: str
        customer_id: str | None
        name: str
        role: str
        token_hash: str
        hint: str
        expires_at: str | None
        actor: Actor

    class Revoked(Event):
        """A token was revoked and is refused from now on."""

        TOPIC = "TokenRevoked"

        actor: Actor

        def apply(self, aggregate: AccessToken) -> None:
            """Note the revocation."""
            aggregate.revoked = True

    class Used(Event):
        """The token was used. Recorded once in a while, not for each request."""

        TOPIC = "TokenUsed"

        actor: Actor

        def apply(self, aggregate: AccessToken) -> None:
            """Note the time."""
            aggregate.last_used_at = self.timestamp

    def __init__(
        self, *, number: int, organization_id: str, name: str, role: str, token_hash: str
    ) -> None:
        self.number = number
        self.organization_id = organization_id
        self.name = name
        self.role = role
        self.token_hash = token_hash
        self.revoked = False
        self.last_used_at: datetime | None = None

    @classmethod
    def issue(cls, number: int, command: IssueToken, *, actor: Actor, now: datetime) -> AccessToken:
        """Return a new token, still to be saved. The secret itself is not kept."""
        return cls._create(
            cls.Created,
            id=uuid4(),
            timestamp=now,
            number=number,
            organization_id=str(command.organization_id),
            customer_id=None if command.customer_id is None else str(command.customer_id),
            name=command.name,
            role=command.role,
            token_hash=token_hash(command.token),
            hint=token_hint(command.token),
            expires_at=command.expires_at,
            actor=actor,
        )

    def use(self, *, actor: Actor, now: datetime) -> bool:
        """Record that the token is in use, unless that was recorded lately."""
        if self.last_used_at is not None and now - self.last_used_at < USE_RECORDED_EVERY:
            return False
        self.trigger_event(AccessToken.Used, timestamp=now, actor=actor)
        return True

    def revoke(self, *, actor: Actor, now: datetime) -> None:
        """Refuse the token from now on. Raises ConflictError if it is revoked already."""
        if self.revoked:
            raise ConflictError(f"token {self.number} is revoked already")
        self.trigger_event(AccessToken.Revoked, timestamp=now, actor=actor)
