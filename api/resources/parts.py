"""What resources are built from: the store, its views, and what several resources share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from api.http.execution import Execution
    from api.http.fields import Schema
    from api.resources.monitors import Monitors
    from domain.monitoring import Monitoring
    from projections.catalog import Views
    from projections.core.projector import Projector
    from projections.readers.monitors import MonitorReader
    from store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """`monitors` are what the resources of each kind of monitors share, by the name of the kind.

    `document` makes the OpenAPI document. `max_view_lag` is the number of events that a view may
    be behind its log before the service is not ready. `metrics_monitors`: of how many monitors
    /metrics has numbers; None: of none. `archive_after` is the age at which checks are archived by
    themselves; None: they are not.
    """

    store: Store
    views: Views
    execution: Execution
    monitors: Mapping[str, Monitors]
    document: Callable[[], Schema]
    max_view_lag: int
    metrics_monitors: int | None
    archive_after: timedelta | None

    @property
    def monitoring(self) -> Monitoring:
        """The commands."""
        return self.store.monitoring

    @property
    def reader(self) -> MonitorReader:
        """The reader of the `monitors` view."""
        return self.views.reader

    @property
    def projector(self) -> Projector:
        """The projector of the `monitors` view, which catches up after each command."""
        return self.views.projector("monitors")
