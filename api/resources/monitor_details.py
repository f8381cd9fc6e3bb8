"""GET details: one answer for a page about a monitor (contract part B, 4.6 and 5.6; D-2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import orjson

from api.http.errors import InvalidParameterError
from api.http.execution import Cost
from api.http.fields import NUMBER, parse_uuid
from api.http.fields import UUID as UUID_SCHEMA
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.http.read_your_writes import catch_up_best_effort
from api.openapi import names
from api.openapi.operations import DocumentedOperation, json_answer, query
from api.openapi.parameters import PUBLIC_ID
from api.openapi.resource import Resource, Route
from api.openapi.responses import MONITOR_SCHEMAS, STATE_SCHEMAS
from api.openapi.vocabulary import (
    COUNT,
    STRING,
    TIME,
    closed,
    described,
    nullable,
    nullable_ref,
    ref,
)
from api.resources.maintenance_windows import Windows
from api.resources.monitor_incidents import alerts_of, incidents_of
from domain.clock import Clock, iso_milliseconds, utc_now
from domain.config_secrets import mask_secrets
from domain.kinds import KINDS
from projections.shapes.check import STATUS, check_shape
from projections.shapes.monitor_state import with_state
from projections.views.rollup import mean
from projections.views.uptime_report import (
    RANGES,
    monitor_uptime,
    period_between,
    report_period,
    total,
    uptime_percent,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import falcon

    from api.http.fields import Schema
    from api.resources.monitors import Monitors
    from api.resources.parts import Parts
    from domain.check import CheckPerformed
    from domain.kinds import MonitorKind
    from projections.core.table import Record
    from projections.readers.monitors import MonitorRecords
    from projections.views.rollup import RollUp
    from projections.views.uptime_report import Bucket, ReportPeriod


_LONGEST: Final = RANGES["year"]
_STATS: Final = ("day", "month", "year")
_LOGGED_CHECKS: Final = 50
_RAW_CHECKS: Final = 1000
_RAW_PAGE: Final = 500
_RAW_PAGES: Final = 10
"""Raw checks are looked for so far back at each location, in pages."""

_PERCENT_DIGITS: Final = 1
_RAW: Final = "raw"


class _Asked(NamedTuple):
    """What a query asks for: which time, and whether each check of it."""

    start: datetime
    end: datetime
    period: ReportPeriod
    is_raw: bool


class MonitorDetails:
    """Everything about one monitor that its page shows."""

    def __init__(self, monitors: Monitors, parts: Parts, clock: Clock = utc_now) -> None:
        self._monitors = monitors
        self._checks = parts.store.checks
        self._incidents = parts.views.incidents
        self._roll_ups = parts.views.roll_ups
        self._projector = parts.views.projector("roll_ups")
        self._windows = Windows(parts)
        self._clock = clock

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response, public_id: str) -> None:
        """Show the monitor, its checks, uptime, incidents, messages and windows."""
        principal: Principal = req.context.principal
        kind = self._monitors.kind
        if parse_uuid(public_id) is None:
            text = f"Invalid {kind.label} public ID (UUID)"
            raise InvalidParameterError("public_id", "must be a UUID", text=text)
        view = self._monitors.find(public_id, principal)
        require(principal, Action.READ_MONITOR)
        now = self._clock()
        asked = _asked(req, now)
        catch_up_best_effort(self._projector)
        monitor_id: str = view.monitor["public_id"]
        locations = {each["code"]: each for each in self._monitors.reader.locations()}
        log = self._newest_checks(monitor_id, locations)
        stats = {name: self._total(monitor_id, name, now) for name in _STATS}
        resp.media = {
            f"{kind.resource}Id": view.monitor["number"],
            "monitor": _monitor(view, self._monitors.states.known(monitor_id)),
            "latestCheck": _latest(log[0], kind) if log else None,
            "uptimeStats": _stats(stats),
            "uptimeStatsMeta": {
                name: {"checks": each.checks, "failed": each.failed} for name, each in stats.items()
            },
            "monitoringData": self._data(monitor_id, asked, locations, now),
            "incidents": incidents_of(self._incidents, monitor_id, self._clock),
            "alerts": alerts_of(self._incidents, monitor_id),
            "testResultLog": log,
            "maintenance": self._maintenance(view, principal, now),
        }

    def _newest_checks(
        self, monitor_id: str, locations: Mapping[str, Record]
    ) -> list[dict[str, Any]]:
        found = [
            check_shape(check, location)
            for code, location in locations.items()
            for check in self._checks.newest(UUID(monitor_id), code, _LOGGED_CHECKS)
        ]
        found.sort(key=lambda each: str(each["checkedAt"]), reverse=True)
        return found[:_LOGGED_CHECKS]

    def _total(self, monitor_id: str, name: str, now: datetime) -> RollUp:
        return total(self._buckets(monitor_id, report_period(name, None, now), now)).roll_up

    def _buckets(self, monitor_id: str, period: ReportPeriod, now: datetime) -> list[Bucket]:
        monitoring = self._monitors.monitoring
        return monitor_uptime(monitoring, self._roll_ups, UUID(monitor_id), period, now)

    def _data(
        self, monitor_id: str, asked: _Asked, locations: Mapping[str, Record], now: datetime
    ) -> list[dict[str, Any]]:
        if not asked.is_raw:
            buckets = self._buckets(monitor_id, asked.period, now)
            return [_hour_or_day(each) for each in buckets if each.roll_up.checks]
        found = [
            _one_check(check)
            for code in locations
            for check in self._checks_between(monitor_id, code, asked.start, asked.end)
        ]
        found.sort(key=lambda each: str(each["timestamp"]))
        return found[-_RAW_CHECKS:]

    def _checks_between(
        self, monitor_id: str, location: str, start: datetime, end: datetime
    ) -> Iterator[CheckPerformed]:
        """Yield the checks of a time at a location, the newest first."""
        up_to: int | None = None
        for _ in range(_RAW_PAGES):
            page = self._checks.newest(UUID(monitor_id), location, _RAW_PAGE, up_to=up_to)
            yield from (each for each in page if start <= each.timestamp < end)
            if len(page) < _RAW_PAGE or page[-1].timestamp < start:
                return
            up_to = page[-1].originator_version - 1

    def _maintenance(
        self, view: MonitorRecords, principal: Principal, now: datetime
    ) -> dict[str, Any]:
        every = self._windows.of_monitor(view.monitor)
        active = [each for each in every if self._windows.is_open(each, now)]
        return {
            "inMaintenance": bool(active) or view.monitor["status"] == "maintenance",
            "activeWindows": [self._windows.shape(each, principal) for each in active],
            "allWindows": [self._windows.shape(each, principal) for each in every],
        }


def _asked(req: falcon.Request, now: datetime) -> _Asked:
    """Return what the query asks for. Raises 400.

    The end is `endDate`, else `date`, else now; the begin is `startDate`, else follows from
    `range`. A date without a time means all of that day.
    """
    name = req.get_param("range") or "day"
    if name not in RANGES:
        raise InvalidParameterError("range", f"must be one of {', '.join(RANGES)}")
    last = _moment(req, "endDate", is_end=True) or _moment(req, "date", is_end=True) or now
    begin = _moment(req, "startDate", is_end=False)
    is_raw = req.get_param("granularity") == _RAW
    if begin is None:
        return _Asked(last - RANGES[name], last, report_period(name, None, now, last), is_raw)
    if not begin < last <= begin + _LONGEST:
        message = f"must be before the end, by {_LONGEST.days} days at most"
        raise InvalidParameterError("startDate", message)
    return _Asked(begin, last, period_between(begin, last, now), is_raw)


def _moment(req: falcon.Request, name: str, *, is_end: bool) -> datetime | None:
    text = req.get_param(name)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        is_day = len(text) <= len("2026-01-31")
        return found + timedelta(days=1) if is_day and is_end else found
    except (ValueError, OverflowError):
        message = "must be a date or a time such as 2026-01-31T12:00:00Z"
        raise InvalidParameterError(name, message) from None


def _monitor(view: MonitorRecords, known: str | None) -> dict[str, Any]:
    """Return the monitor with `known`, the keys of its state (`StateReader.known`)."""
    monitor = view.monitor
    shown = {
        "id": monitor["number"],
        "customerId": view.customer["number"],
        "name": monitor["name"],
        "hostname": monitor["hostname"],
        "port": monitor["port"],
        "status": monitor["status"],
        "checkInterval": monitor["check_interval"],
        "timeoutSeconds": monitor["timeout_seconds"],
        "config": mask_secrets(monitor["config"]),
        "publicId": monitor["public_id"],
    }
    with_keys: dict[str, Any] = orjson.loads(with_state(orjson.dumps(shown).decode(), known))
    return with_keys


def _latest(check: dict[str, Any], kind: MonitorKind) -> dict[str, Any]:
    keys = ("status", "checkedAt", kind.timing_key, "locationCode", "locationName")
    return {key: check[key] for key in keys}


def _stats(stats: Mapping[str, RollUp]) -> dict[str, Any]:
    shares = {name: uptime_percent(each.known_ms, _PERCENT_DIGITS) for name, each in stats.items()}
    return shares | {f"{name}AvgResponse": _response_ms(each) for name, each in stats.items()}


def _response_ms(roll_up: RollUp) -> int | None:
    """Return the mean duration of whole checks; None without any."""
    whole = roll_up.phases.get("total")
    found = mean(whole.counts) if whole is not None else None
    return None if found is None else round(found / 1000)


def _hour_or_day(bucket: Bucket) -> dict[str, Any]:
    roll_up = bucket.roll_up
    return {
        "timestamp": iso_milliseconds(datetime.fromtimestamp(bucket.start / 1000, UTC)),
        "status": STATUS["down" if roll_up.failed else "up"],
        "responseTime": _response_ms(roll_up),
        "checks": roll_up.checks,
        "failed": roll_up.failed,
        "locationCode": None,
    }


def _one_check(check: CheckPerformed) -> dict[str, Any]:
    outcome = check.outcome
    return {
        "timestamp": iso_milliseconds(check.timestamp),
        "status": STATUS[outcome["verdict"]],
        "responseTime": round(outcome["timings"].get("total", 0)),
        "checks": 1,
        "failed": int(outcome["verdict"] == "down"),
        "locationCode": check.location,
    }


def _operations() -> Iterator[DocumentedOperation]:
    day = {"type": "string", "examples": ["2026-02-26"]}
    for kind in KINDS.values():
        yield DocumentedOperation(
            method="get",
            path=kind.path + "/{public_id}/details",
            name=f"get{names.monitor(kind)}Details",
            tag=names.tag(kind),
            summary="Show all about a monitor",
            description="What a page about the monitor shows: its newest checks, uptime, "
            "incidents, messages and maintenance windows. The range concerns `monitoringData` "
            "alone, which has hours up to two days, else days, of all locations together.",
            parameters=(
                PUBLIC_ID,
                query(
                    "range",
                    {"type": "string", "enum": list(RANGES), "default": "day"},
                    "How much time.",
                ),
                query("date", day, "The end, if there is no `endDate`. Default: now."),
                query("startDate", day, "The begin, in place of `range`."),
                query("endDate", day, "The end; a date without a time means all of that day, UTC."),
                query(
                    "granularity",
                    {"type": "string", "examples": [_RAW]},
                    f"`{_RAW}`: each check, at most the newest {_RAW_CHECKS}, looked for among "
                    f"the newest {_RAW_PAGE * _RAW_PAGES} of each location.",
                ),
            ),
            answers={
                200: json_answer(
                    "The details",
                    f"{names.monitor(kind)}Details",
                    example=f"{names.example(kind)}_details",
                )
            },
            errors=(400, 403, 404),
        )


_STATUS_SCHEMA: Final[Schema] = {"type": "string", "enum": list(STATUS.values())}
_RESPONSE: Final[Schema] = {
    "type": ["integer", "null"],
    "minimum": 0,
    "description": "Milliseconds of whole checks, the mean; at most 1.6 % off.",
}


def _schemas() -> Schema:
    counts = closed({"checks": COUNT, "failed": COUNT})
    windows = {"type": "array", "items": ref("MaintenanceWindow")}
    found: Schema = {
        "UptimeStats": closed(_stats_schema()),
        "UptimeStatsMeta": closed(dict.fromkeys(_STATS, counts)),
        "MonitoringData": closed(
            {
                "timestamp": TIME,
                "status": described(_STATUS_SCHEMA, "`failure` if any check failed."),
                "responseTime": _RESPONSE,
                "checks": COUNT,
                "failed": COUNT,
                "locationCode": described(nullable(STRING), "Null: of all locations."),
            }
        ),
        "MonitorMaintenance": closed(
            {"inMaintenance": {"type": "boolean"}, "activeWindows": windows, "allWindows": windows}
        ),
    }
    for kind in KINDS.values():
        monitor = names.monitor(kind)
        found[f"{monitor}InDetails"] = closed(_monitor_schema(kind))
        found[f"{monitor}LatestCheck"] = closed(
            {
                "status": _STATUS_SCHEMA,
                "checkedAt": TIME,
                kind.timing_key: COUNT,
                "locationCode": STRING,
                "locationName": STRING,
            }
        )
        found[f"{monitor}Details"] = closed(_details(kind))
    return found


def _stats_schema() -> Schema:
    percent = {
        "type": ["number", "null"],
        "minimum": 0,
        "maximum": 100,
        "description": "Up in what is known to be up or down, to now, rounded down to a tenth.",
    }
    return dict.fromkeys(_STATS, percent) | {f"{each}AvgResponse": _RESPONSE for each in _STATS}


def _monitor_schema(kind: MonitorKind) -> Schema:
    keys = ("id", "customerId", "name", "hostname", "port", "status", "checkInterval")
    return {
        **{key: MONITOR_SCHEMAS[key] for key in (*keys, "timeoutSeconds")},
        "config": ref(names.config(kind)),
        "publicId": UUID_SCHEMA,
        **STATE_SCHEMAS,
    }


def _details(kind: MonitorKind) -> Schema:
    monitor = names.monitor(kind)

    def many(name: str) -> Schema:
        return {"type": "array", "items": ref(name)}

    return {
        f"{kind.resource}Id": NUMBER,
        "monitor": ref(f"{monitor}InDetails"),
        "latestCheck": nullable_ref(f"{monitor}LatestCheck"),
        "uptimeStats": ref("UptimeStats"),
        "uptimeStatsMeta": ref("UptimeStatsMeta"),
        "monitoringData": many("MonitoringData"),
        "incidents": many("IncidentOfMonitor"),
        "alerts": many("AlertOfMonitor"),
        "testResultLog": many(names.check(kind)),
        "maintenance": ref("MonitorMaintenance"),
    }


def _routes(parts: Parts) -> Iterator[Route]:
    for monitors in parts.monitors.values():
        path = monitors.kind.path + "/{public_id}/details"
        yield Route(path, MonitorDetails(monitors, parts))


RESOURCE: Final = Resource(routes=_routes, operations=_operations, schemas=_schemas)
