"""The port to whatever keeps the views: files beside the logs, or a schema of the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projections.core.projection import Projection
    from projections.core.table import View
    from projections.readers.history import HistoryReader
    from projections.readers.monitors import MonitorReader
    from projections.readers.uptime import RollUpReader


class ViewStorage(ABC):
    """Opens views and their readers. Whoever opens one closes it, and the storage at last."""

    @abstractmethod
    def view(self, projection: Projection) -> View:
        """Return the stored view of a projection."""

    @abstractmethod
    def scratch(self, projection: Projection) -> View:
        """Return an empty view that is needed for a moment, and that nobody else sees."""

    @abstractmethod
    def reader(self) -> MonitorReader:
        """Return what answers from the `monitors` and the `checks` view."""

    @abstractmethod
    def history(self) -> HistoryReader:
        """Return what answers from the `history` view."""

    @abstractmethod
    def roll_ups(self) -> RollUpReader:
        """Return what answers from the `roll_ups` view."""

    @abstractmethod
    def close(self) -> None:
        """Close what views and readers share."""
