"""The port to the storage of views: files beside the logs, or a schema of the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projections.core.projection import Projection
    from projections.core.table import View
    from projections.readers.history import HistoryReader
    from projections.readers.incidents import IncidentReader
    from projections.readers.monitors import MonitorReader
    from projections.readers.states import StateReader
    from projections.readers.uptime import RollUpReader


class ViewStorage(ABC):
    """Opens views and their readers. The caller closes them, then the storage."""

    @abstractmethod
    def view(self, projection: Projection) -> View:
        """Return the stored view of a projection."""

    @abstractmethod
    def scratch(self, projection: Projection) -> View:
        """Return an empty view of this process alone, which is gone when it is closed."""

    @abstractmethod
    def reader(self) -> MonitorReader:
        """Return the reader of the `monitors` and the `checks` view."""

    @abstractmethod
    def history(self) -> HistoryReader:
        """Return the reader of the `history` view."""

    @abstractmethod
    def roll_ups(self) -> RollUpReader:
        """Return the reader of the `roll_ups` view."""

    @abstractmethod
    def states(self) -> StateReader:
        """Return the reader of the `states` view."""

    @abstractmethod
    def incidents(self) -> IncidentReader:
        """Return the reader of the `incidents` view."""

    @abstractmethod
    def close(self) -> None:
        """Close what views and readers share."""
