"""The checks that an incident rests on, from the check logs (contract part B, 11.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from domain.clock import iso_milliseconds
from domain.kinds import KINDS
from projections.shapes.check import check_shape
from projections.shapes.incident import alert_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from domain.check import CheckPerformed
    from domain.checks import Checks
    from projections.core.table import Record
    from projections.readers.incidents import PlannedAlert


Shape = dict[str, Any]

MAX_CHECKS: Final = 50
"""The most checks of one location that are read back from the one that decided."""


class Evidence(NamedTuple):
    """What an incident rests on: failing checks, oldest first, and good ones that ended it.

    `deciding` is the check that made it an incident. A check that cannot be found any more is
    left out.
    """

    failed: Sequence[CheckPerformed]
    recovered: Sequence[CheckPerformed]
    deciding: CheckPerformed | None


def evidence_of(incident: Record, checks: Checks) -> Evidence:
    """Read the checks that an incident names, and the failing ones before them.

    Archived checks are read from the archive. Raises ArchiveError when that cannot be read.
    """
    failed: list[CheckPerformed] = []
    deciding: list[CheckPerformed] = []
    for each in _named_checks(incident["rests_on"]):
        found = _up_to(incident, checks, each, MAX_CHECKS)
        deciding += found[:1]
        failed += _failures(found, incident["outage_started_at"])
    recovered = [
        check
        for each in _named_checks(incident["recovered_by"])
        for check in _up_to(incident, checks, each, 1)
    ]
    return Evidence(
        sorted(failed, key=_ended),
        sorted(recovered, key=_ended),
        max(deciding, key=_ended, default=None),
    )


def _named_checks(rests_on: Sequence[Record]) -> list[Record]:
    """Return the entries that name a check; those about a location name none."""
    return [each for each in rests_on if "version" in each]


def _up_to(incident: Record, checks: Checks, named: Record, limit: int) -> list[CheckPerformed]:
    monitor_id = UUID(incident["monitor_id"])
    return checks.newest(monitor_id, named["location"], limit, up_to=named["version"])


def _failures(checks: Sequence[CheckPerformed], since: str) -> list[CheckPerformed]:
    """Return the failing checks in a row that end with the newest one."""
    found: list[CheckPerformed] = []
    for check in checks:
        if check.outcome["verdict"] == "up" or iso_milliseconds(check.timestamp) < since:
            break
        found.append(check)
    return found


def _ended(check: CheckPerformed) -> tuple[str, str]:
    return iso_milliseconds(check.timestamp), check.location


def timeline(
    incident: Record,
    evidence: Evidence,
    alerts: Sequence[PlannedAlert],
    locations: Mapping[str, Record],
) -> Shape:
    """Return the documented timeline: confirmation, outage, recovery."""
    failed = [_check(each, locations) for each in evidence.failed]
    recovered = [_check(each, locations) for each in evidence.recovered]
    return {
        "outageStartedAt": incident["outage_started_at"],
        "outageStartedCheck": failed[0] if failed else None,
        "confirmationAt": incident["opened_at"],
        "failedChecks": failed,
        "failedChecksTotal": len(failed),
        "alertEvents": [_event(each) for each in reversed(alerts)],
        "recoveryChecks": recovered,
        "recoveryChecksTotal": len(recovered),
    }


def evidence_check(
    check: CheckPerformed | None,
    locations: Mapping[str, Record],
    *,
    shows_blocked_address: bool,
) -> Shape | None:
    """Return what the check that decided has found out."""
    if check is None:
        return None
    location = locations.get(check.location)
    shown = check_shape(check, location, shows_blocked_address=shows_blocked_address)
    return {
        "id": shown["id"],
        "checkedAt": shown["checkedAt"],
        "diagnostics": shown["diagnostics"],
        "hasScreenshot": False,
        "screenshotUrl": None,
    }


def _check(check: CheckPerformed, locations: Mapping[str, Record]) -> Shape:
    shown = check_shape(check, locations.get(check.location))
    return {
        "id": shown["id"],
        "checkedAt": shown["checkedAt"],
        "status": shown["status"],
        "statusCode": None,
        "errorMessage": shown["errorMessage"],
        "responseTimeMs": shown[KINDS[check.kind].timing_key],
        "location": {
            "id": shown["locationId"],
            "code": shown["locationCode"],
            "name": shown["locationName"],
        },
    }


def _event(planned: PlannedAlert) -> Shape:
    shown = alert_shape(planned)
    del shown["incidentId"]
    return {"id": shown.pop("id"), "sentAt": shown.pop("sentAt"), **shown}
