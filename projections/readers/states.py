"""The queries on what is known now of monitors: a port of the API, the commands and the metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.incident import IncidentType
    from domain.kinds import Kind
    from domain.monitor_state import MonitorState
    from projections.core.table import Record
    from projections.readers.monitors import Page


SortKey = Literal["id", "name", "state", "stateSince"]
SORT_KEYS: Final[tuple[SortKey, ...]] = get_args(SortKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFilter:
    """Which monitors a list shows, and in which order; None means any.

    `search` is a part of the name of a monitor or of its customer, or of a hostname.
    """

    organization_id: str
    customer_id: str | None = None
    kind: Kind | None = None
    search: str | None = None
    states: Sequence[MonitorState] | None = None
    sort: SortKey = "id"
    is_descending: bool = False


class StateCounts(NamedTuple):
    """How many monitors there are of each state and kind, and how many open incidents."""

    by_state: Mapping[MonitorState, int]
    by_kind: Mapping[Kind, int]
    open_incidents: Mapping[IncidentType, int]


class WatchedMonitor(NamedTuple):
    """A monitor of any organization, its state, and its last check at each location."""

    public_id: str
    kind: Kind
    name: str
    state: MonitorState
    last_checks: Sequence[Record]


class StateReader(ABC):
    """Reads the live side of the `states` view, and of the views beside it.

    Every answer may be behind the logs by a moment.
    """

    @abstractmethod
    def monitors(self, which: StateFilter, page: int, per_page: int) -> Page:
        """Return a page of monitors, counting pages from 1."""

    @abstractmethod
    def listed(self, which: StateFilter, page: int, per_page: int) -> Page:
        """Return the same in the documented shape of a kind, with what is known now."""

    @abstractmethod
    def known(self, monitor_id: str) -> str | None:
        """Return what is known now of a monitor: keys of a JSON object, without its braces.

        None when the view does not have the monitor, or is not made yet.
        """

    @abstractmethod
    def counts(self, organization_id: str, customer_id: str | None = None) -> StateCounts:
        """Return how many monitors and open incidents an organization or a customer has."""

    @abstractmethod
    def totals(self) -> Mapping[MonitorState, int]:
        """Return how many monitors of all organizations are in each state."""

    @abstractmethod
    def watched(self, limit: int) -> Sequence[WatchedMonitor]:
        """Return monitors of all organizations, what is down first."""

    @abstractmethod
    def dialogues(self, monitor_id: str) -> Sequence[Record]:
        """Return the last failed check that kept its dialogue, of each location that has one."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections of the reader."""
