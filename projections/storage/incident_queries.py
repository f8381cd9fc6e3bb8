"""The queries on the `incidents` view, written for SQLite as those of `queries`."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final

import orjson
from typing_extensions import override

from projections.readers.incidents import IncidentReader, NamedIncident, PlannedAlert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.readers.incidents import IncidentFilter
    from projections.storage.queries import Bound


# Statements are put together from the constants of this module; values are bound.

_INCIDENTS: Final = """
SELECT i.record, m.record, c.record FROM incidents i
LEFT JOIN incident_names m ON m.key = i.monitor_id
LEFT JOIN incident_names c ON c.key = i.customer_id
WHERE {where} ORDER BY i.number DESC LIMIT :limit OFFSET :offset
"""
_COUNT: Final = "SELECT count(*) FROM incidents i WHERE {where}"
_ALERTS: Final = """
SELECT l.record, a.record, n.record FROM alerted_incidents l
JOIN incident_alerts a ON a.key = l.alert_id
LEFT JOIN incident_names n ON n.key = a.channel_id
WHERE l.{column} = :value ORDER BY l.position DESC, l.key LIMIT :limit
"""
_COUNT_ALERTS: Final = "SELECT count(*) FROM alerted_incidents WHERE monitor_id = :monitor_id"
_ANY: Final = "1 = 1"


class IncidentQueries(IncidentReader):
    """Reads the `incidents` view. An engine adds selecting."""

    @override
    def incidents(
        self, which: IncidentFilter, limit: int, offset: int = 0
    ) -> Sequence[NamedIncident]:
        where, bound = _conditions(which)
        return self._incidents(where, {**bound, "limit": limit, "offset": offset})

    @override
    def count(self, which: IncidentFilter) -> int:
        where, bound = _conditions(which)
        ((number,),) = self._select(_COUNT.format(where=where), bound)
        return int(number)

    @override
    def incident(self, identifier: int | str) -> NamedIncident | None:
        column = "number" if isinstance(identifier, int) else "key"
        bound = {"identifier": identifier, "limit": 1, "offset": 0}
        found = self._incidents(f"i.{column} = :identifier", bound)
        return found[0] if found else None

    @override
    def alerts_of_incident(self, incident_id: str, limit: int) -> Sequence[PlannedAlert]:
        return self._alerts("incident_id", incident_id, limit)

    @override
    def alerts_of_monitor(self, monitor_id: str, limit: int) -> Sequence[PlannedAlert]:
        return self._alerts("monitor_id", monitor_id, limit)

    @override
    def count_alerts(self, monitor_id: str) -> int:
        ((number,),) = self._select(_COUNT_ALERTS, {"monitor_id": monitor_id})
        return int(number)

    def _incidents(self, where: str, bound: Bound) -> list[NamedIncident]:
        rows = self._select(_INCIDENTS.format(where=where), bound)
        return [NamedIncident(*map(_record, row)) for row in rows]

    def _alerts(self, column: str, value: str, limit: int) -> list[PlannedAlert]:
        rows = self._select(_ALERTS.format(column=column), {"value": value, "limit": limit})
        return [PlannedAlert(*map(_record, row)) for row in rows]

    @abstractmethod
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        """Return the rows of a query."""


def _record(stored: bytes | str | None) -> Any:  # noqa: ANN401 - a record, which may be missing
    return None if stored is None else orjson.loads(stored)


def _conditions(which: IncidentFilter) -> tuple[str, dict[str, Any]]:
    """Return the condition of a filter, and the values that it binds."""
    values = {
        "organization_id": which.organization_id,
        "customer_id": which.customer_id,
        "monitor_id": which.monitor_id,
        "type": which.incident_type,
        "is_open": None if which.is_open is None else int(which.is_open),
    }
    bound = {column: value for column, value in values.items() if value is not None}
    return " AND ".join(f"i.{each} = :{each}" for each in bound) or _ANY, bound
