"""The recorded fact that old checks stand in a segment, and may be gone from the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from eventsourcing.domain import DomainEvent
from eventsourcing.utils import register_topic

from domain.actor import Actor  # noqa: TC001 - part of the stored event's definition

ARCHIVE_ID: Final = uuid5(NAMESPACE_URL, "urn:postwatch:check-archive")
"""The stream of these events, in the `monitoring` log: one event for each segment."""


@dataclass(frozen=True)
class ChecksArchived(DomainEvent):
    """The events of the `checks` log from one position to another stand in a segment.

    `digest` is SHA-256, in hexadecimal, over the leaves of the events (docs/proof.md), one
    behind the other: of what stands in the segment, not of how that is compressed.
    """

    TOPIC = "ChecksArchived"

    first_position: int
    last_position: int
    count: int
    digest: str
    actor: Actor


register_topic(ChecksArchived.TOPIC, ChecksArchived)
