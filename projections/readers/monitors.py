"""The queries on monitors, owners, tokens and locations: a port of the API and the commands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.kinds import Kind
    from projections.core.table import Record, Table


class MonitorRecords(NamedTuple):
    """A monitor with its owners, and when it was last checked if that is known."""

    monitor: Record
    customer: Record
    organization: Record
    last_checked_at: str | None = None


class MonitorRef(NamedTuple):
    """What names a monitor: its ids, its kind, and whose it is."""

    public_id: str
    kind: Kind
    number: int
    organization_id: str
    customer_id: str


class RenderedMonitor(NamedTuple):
    """The documented JSON of a monitor, what decides who may read it, and the log position.

    `position` is that of the last event included in it.
    """

    organization_id: str
    customer_id: str
    version: int
    body: str
    position: int


@dataclass(frozen=True, slots=True)
class MonitorFilter:
    """Which monitors a list shows. None means any; `search` is a part of a name or hostname.

    `shows_state`: the items say what is known now, too.
    """

    kind: Kind
    organization_id: str
    customer_id: str | None = None
    search: str | None = None
    shows_state: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: the documented items as a JSON array, and how many there are in all.

    `position` is that of the last event included in both.
    """

    items: bytes
    total: int
    position: int


class MonitorAnswers(ABC):
    """What answers a GET of monitors: the views of now, or `MonitorsAsOf`, the past."""

    @abstractmethod
    def organization(self, identifier: int | str) -> Record | None:
        """Return an organization by number or public id."""

    @abstractmethod
    def customer(self, identifier: int | str) -> Record | None:
        """Return a customer by number or public id."""

    @abstractmethod
    def rendered_monitor(self, kind: Kind, public_id: str) -> RenderedMonitor | None:
        """Return a monitor of a kind as the API shows it."""

    @abstractmethod
    def monitors(self, which: MonitorFilter, page: int, per_page: int) -> Page:
        """Return a page of monitors by number, counting pages from 1."""


class MonitorReader(MonitorAnswers):
    """Reads the live side of the views. Every answer may be behind the log by a moment."""

    @abstractmethod
    def require_readable(self) -> None:
        """Raise ViewUnavailableError unless every query can be answered.

        Without the `checks` view those on owners, tokens and locations still can.
        """

    @abstractmethod
    def token(self, token_hash: str) -> Record | None:
        """Return the token with this hash, also when it is revoked.

        What was committed before the call is seen: a revocation holds at once, everywhere.
        """

    @abstractmethod
    def tokens(self, organization_id: str | None = None) -> Sequence[Record]:
        """Return the tokens of an organization, or all, by number; also revoked ones."""

    @abstractmethod
    def organizations(self) -> Sequence[Record]:
        """Return all organizations by number."""

    @abstractmethod
    def customers(self, organization_id: str | None = None) -> Sequence[Record]:
        """Return the customers of an organization, or all, by number."""

    @abstractmethod
    def locations(self) -> Sequence[Record]:
        """Return all locations by number, also retired ones."""

    @abstractmethod
    def last_check_of_locations(self) -> dict[str, str]:
        """Return when each location made its newest check, by code."""

    @abstractmethod
    def resources(self, table: Table, organization_id: str) -> Sequence[Record]:
        """Return the resources of an organization in a table of `views.resources`, by number."""

    @abstractmethod
    def resource(self, table: Table, identifier: int | str) -> Record | None:
        """Return a resource by number or public id."""

    @abstractmethod
    def monitor_ref(self, public_id: str) -> MonitorRef | None:
        """Return what names the monitor with a public id."""

    @abstractmethod
    def monitor_numbered(self, kind: Kind, organization_id: str, number: int) -> MonitorRef | None:
        """Return what names the monitor of an organization with a number of its kind."""

    @abstractmethod
    def tags_of(self, monitor_id: str) -> Sequence[Record]:
        """Return the tags of a monitor, by number."""

    @abstractmethod
    def monitor(self, kind: Kind, public_id: str) -> MonitorRecords | None:
        """Return a monitor of a kind."""

    @abstractmethod
    def monitor_count(self, organization_id: str) -> int:
        """Return how many monitors of all kinds an organization has."""

    @abstractmethod
    def last_checks(self, monitor_id: str) -> Sequence[Record]:
        """Return the last check of a monitor at each location, newest first, then by location."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections of the reader."""
