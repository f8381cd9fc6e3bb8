"""The queries that the `roll_ups` view answers: the port of uptime reports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.core.table import Record


class RollUpReader(ABC):
    """Reads the live side of the `roll_ups` view."""

    @abstractmethod
    def rows(
        self, monitor_id: str, first_day: str, last_day: str
    ) -> tuple[Sequence[Record], Sequence[Record]]:
        """Return a monitor's streams, and its days from one to another, of one moment, by key.

        Raises ViewUnavailableError unless the definition of this code made the view.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connections of the reader."""
