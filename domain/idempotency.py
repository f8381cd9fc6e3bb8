"""Idempotency keys: a client's own key makes a repeated create happen once.

A key becomes a stream of one event, which is saved in one transaction with what the request
made, so it is known after a restart and to every process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import DomainEvent
from eventsourcing.utils import register_topic

from domain.actor import Actor  # noqa: TC001 - part of the stored event's definition
from domain.errors import ConflictError

if TYPE_CHECKING:
    from datetime import datetime

    from eventsourcing.persistence import EventStore


_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:repeat")


@dataclass(frozen=True)
class RequestAnswered(DomainEvent):
    """A request with an idempotency key created something: `made_id`.

    `digest` is a keyed digest of the request: another request under the same key is detected,
    and a password in the request cannot be guessed from it.
    """

    TOPIC = "RequestAnswered"

    digest: str
    made_id: str
    actor: Actor


register_topic(RequestAnswered.TOPIC, RequestAnswered)


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's key for one request. `scope` is who sent it, `digest` that of the request."""

    scope: str
    key: str
    digest: str

    @property
    def stream(self) -> UUID:
        """The stream that remembers the request."""
        return uuid5(_NAMESPACE, f"{self.scope}/{self.key}")

    def previous_result(self, events: EventStore[UUID]) -> UUID | None:
        """Return what the request made when it came before, None when it is new.

        Raises ConflictError when another request was sent under the same key.
        """
        for event in events.get(self.stream, limit=1):
            if not isinstance(event, RequestAnswered) or event.digest != self.digest:
                raise ConflictError("the Idempotency-Key was used for another request")
            return UUID(event.made_id)
        return None

    def answered(self, made_id: UUID, *, actor: Actor, now: datetime) -> RequestAnswered:
        """Return the event that remembers the request."""
        return RequestAnswered(
            originator_id=self.stream,
            originator_version=1,
            timestamp=now,
            digest=self.digest,
            made_id=str(made_id),
            actor=actor,
        )
