"""How a monitor was checked at a version of its configuration, from the `monitoring` log.

What a version says never changes, so the same checks always fold to the same rows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from uuid import UUID

from domain.monitor import Monitor
from domain.uptime import Watched

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.monitoring import Monitoring

_MONITORS: Final = 250_000
"""Monitors whose versions are kept: about 75 MB."""

_SORTS: Final = 1 << 10
_MS_PER_MINUTE: Final = 60_000
_MS_PER_SECOND: Final = 1000
_FIELDS: Final = ("status", "check_interval", "timeout_seconds")


class Settings(Protocol):
    """Knows how monitors were checked."""

    def look_up(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Read at once what will be asked for: ids of monitors, and versions of them."""

    def at(self, monitor_id: str, version: int) -> Watched | None:
        """Return how a monitor was checked at a version; None when there is no such thing."""
        ...


class NoSettings(Settings):
    """Knows no monitor: checks count, and vouch for no time."""

    def look_up(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Do nothing."""

    def at(self, monitor_id: str, version: int) -> Watched | None:
        """Return None."""
        del monitor_id, version
        return None


NO_SETTINGS: Final = NoSettings()


class _Versions(NamedTuple):
    """The versions of a monitor, and the highest one that was sought.

    A check is recorded after the version that it was made by, so what was not there when it
    was sought never will be.
    """

    sought: int
    found: tuple[Watched, ...]


class StoredSettings(Settings):
    """Reads the streams of monitors, each once until a newer version of it is asked for."""

    def __init__(self, monitoring: Monitoring) -> None:
        self._monitoring = monitoring
        self._known: dict[str, _Versions] = {}

    def look_up(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Read at once what will be asked for and is not known yet."""
        sought: dict[str, int] = {}
        for monitor_id, version in wanted:
            known = self._known.get(monitor_id)
            if known is None or version > known.sought:
                sought[monitor_id] = max(version, sought.get(monitor_id, 0))
        if not sought:
            return
        if len(self._known) + len(sought) > _MONITORS:
            self._known.clear()
        events = self._monitoring.events_of([UUID(each) for each in sought])
        for (monitor_id, version), of_monitor in zip(sought.items(), events, strict=True):
            found = tuple(_versions(of_monitor))
            self._known[monitor_id] = _Versions(max(version, len(found)), found)

    def at(self, monitor_id: str, version: int) -> Watched | None:
        """Return how a monitor was checked at a version; None when there is no such thing."""
        known = self._known.get(monitor_id)
        if known is None or version > known.sought:
            self.look_up([(monitor_id, version)])
            known = self._known[monitor_id]
        return known.found[version - 1] if 0 < version <= len(known.found) else None


def _versions(events: Iterable[object]) -> Iterable[Watched]:
    fields: dict[str, object] = {}
    for event in events:
        if isinstance(event, Monitor.Created):
            fields = {name: getattr(event, name) for name in _FIELDS}
        elif isinstance(event, Monitor.Updated):
            fields |= {name: event.changes[name] for name in _FIELDS if name in event.changes}
        interval, timeout = fields.get("check_interval"), fields.get("timeout_seconds")
        if isinstance(interval, int | float) and isinstance(timeout, int | float):
            yield _watched(
                round(interval * _MS_PER_MINUTE),
                round(timeout * _MS_PER_SECOND),
                fields.get("status") == "maintenance",
            )


@lru_cache(_SORTS)
def _watched(interval_ms: int, timeout_ms: int, in_maintenance: bool) -> Watched:  # noqa: FBT001 - as its fields are
    """Return the one object of these values: most monitors are checked alike."""
    return Watched(interval_ms, timeout_ms, in_maintenance)
