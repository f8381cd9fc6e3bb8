"""The history of a monitor in field terms: who changed what, from what, to what.

Secrets appear as a mask, and as "changed" when they were replaced; never in clear, and
never as the sealed text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from domain.clock import iso_milliseconds
from domain.monitor import CHANGEABLE, Monitor
from domain.secret_fields import SECRET_PATHS, mask_secret, read_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from uuid import UUID

    from domain.actor import Actor
    from domain.mail_config import Kind
    from domain.monitoring import Monitoring

CHANGED: Final = "(changed)"


@dataclass(frozen=True, slots=True)
class Change:
    """One field that became another."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of a monitor's stream."""

    version: int
    at: str
    actor: Actor
    event: str
    changes: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        """Return JSON-native values."""
        return {
            "version": self.version,
            "at": self.at,
            "actor": self.actor,
            "event": self.event,
            "changes": [
                {"field": each.field, "from": each.before, "to": each.after}
                for each in self.changes
            ],
        }


def monitor_history(monitoring: Monitoring, monitor_id: UUID) -> list[Entry]:
    """Return every event of a monitor in order; empty when there is no such monitor."""
    stored = monitoring.recorder.select_events(monitor_id)
    return list(describe(monitoring.mapper.to_domain_event(each) for each in stored))


def describe(events: Iterable[Any]) -> Iterator[Entry]:
    """Turn the events of one monitor's stream into entries. Other streams give nothing."""
    kind: Kind = "smtp"
    fields: dict[str, Any] = {}
    for event in events:
        match event:
            case Monitor.Created():
                kind = event.kind  # type: ignore[assignment] # stored as one of the kinds
                after = {name: getattr(event, name) for name in CHANGEABLE}
            case Monitor.Updated():
                after = event.changes
            case Monitor.Deleted():
                after = {}
            case _:
                return
        yield Entry(
            version=event.originator_version,
            at=iso_milliseconds(event.timestamp),
            actor=event.actor,
            event=type(event).TOPIC,
            changes=tuple(_changes(kind, fields, after)),
        )
        fields = {**fields, **after}


def _changes(kind: Kind, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for name, value in after.items():
        if name != "config":
            yield Change(name, before.get(name), value)
            continue
        old, new = before.get(name, {}), value
        masked = (mask_secret(kind, old), mask_secret(kind, new))
        if masked[0] != masked[1] or name not in before:
            yield Change(name, masked[0] if name in before else None, masked[1])
        if name in before and read_secret(kind, old) != read_secret(kind, new):
            yield Change(f"config.{'.'.join(SECRET_PATHS[kind])}", CHANGED, CHANGED)
