"""The recorded fact of one check, and the stream that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import DomainEvent
from eventsourcing.utils import register_topic

from domain.actor import Actor  # noqa: TC001 - part of the stored event's definition

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:check-log")


def check_log_id(monitor_id: UUID, location: str) -> UUID:
    """Return the id of the check log of a monitor at a location."""
    return uuid5(_NAMESPACE, f"{monitor_id}/{location}")


@dataclass(frozen=True)
class CheckPerformed(DomainEvent):
    """A mail server was contacted and judged.

    `due_at` and `started_at` are ISO 8601 UTC: when the check should and did begin.
    `outcome` is `Outcome.as_json()`: verdict, category, phase, message, timings in
    milliseconds, TLS facts, warnings. `monitor_version` says which version of the
    monitor's configuration was checked.
    """

    TOPIC = "CheckPerformed"

    monitor_id: str
    monitor_version: int
    kind: str
    location: str
    due_at: str
    started_at: str
    outcome: dict[str, Any]
    actor: Actor


register_topic(CheckPerformed.TOPIC, CheckPerformed)
