"""The queries on incidents and the messages about them: a port of the API and the commands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.incident import IncidentType
    from projections.core.table import Record


OF_INSTALLATION: Final = ""
"""The owner of incidents that are about no organization's monitor, but a location."""


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents a list shows; None means any.

    Incidents of locations are no organization's: `OF_INSTALLATION` in its place finds them.
    """

    organization_id: str | None = None
    customer_id: str | None = None
    monitor_id: str | None = None
    incident_type: IncidentType | None = None
    is_open: bool | None = None


class NamedIncident(NamedTuple):
    """An incident with what names its monitor and its customer; None for that of a location."""

    incident: Record
    monitor: Record | None
    customer: Record | None


class PlannedAlert(NamedTuple):
    """A message with what names its channel, None for one without a name of its own.

    `about` says which incident, and the position of the plan in the log.
    """

    about: Record
    alert: Record
    channel: Record | None


class IncidentReader(ABC):
    """Reads the live side of the `incidents` view. Every answer may be behind by a moment."""

    @abstractmethod
    def incidents(
        self, which: IncidentFilter, limit: int, offset: int = 0
    ) -> Sequence[NamedIncident]:
        """Return incidents, the newest first."""

    @abstractmethod
    def count(self, which: IncidentFilter) -> int:
        """Return how many incidents a filter finds."""

    @abstractmethod
    def incident(self, identifier: int | str) -> NamedIncident | None:
        """Return an incident by number or public id."""

    @abstractmethod
    def alerts_of_incident(self, incident_id: str, limit: int) -> Sequence[PlannedAlert]:
        """Return the messages about an incident, the newest first."""

    @abstractmethod
    def alerts_of_monitor(self, monitor_id: str, limit: int) -> Sequence[PlannedAlert]:
        """Return the messages about the incidents of a monitor, the newest first."""

    @abstractmethod
    def count_alerts(self, monitor_id: str) -> int:
        """Return how many messages there are about the incidents of a monitor."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections of the reader."""
