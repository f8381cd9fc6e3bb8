"""The documented JSON of a check (contract part B, 4.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import uuid5

from domain.check import Category
from domain.clock import iso_milliseconds
from domain.kinds import KINDS

if TYPE_CHECKING:
    from domain.check import CheckPerformed
    from projections.core.table import Record


STATUS: Final = {"up": "success", "down": "failure"}


BLOCKED: Final = (
    "the name leads to an address that the network policy does not allow; the operator of this "
    "service can allow its network (POSTWATCH_ALLOWED_NETWORKS)"
)
"""What a check says in place of an address that its reader may not know."""


def check_shape(
    check: CheckPerformed, location: Record | None, *, shows_blocked_address: bool = False
) -> dict[str, Any]:
    """Return a check. Its id is derived from its place in the log and never changes.

    The address behind a name may be known inside the installation's network only, as with
    name servers that answer differently inside. So an address that the network policy refused
    is shown only if `shows_blocked_address`.
    """
    outcome = check.outcome
    if outcome["category"] == Category.ADDRESS_BLOCKED and not shows_blocked_address:
        outcome = {**outcome, "message": BLOCKED, "address": None}
    warnings = "; ".join(each["message"] for each in outcome["warnings"])
    return {
        "id": str(uuid5(check.originator_id, str(check.originator_version))),
        "status": STATUS[outcome["verdict"]],
        "errorMessage": outcome["message"] if outcome["verdict"] == "down" else None,
        "warningMessage": warnings or None,
        KINDS[check.kind].timing_key: round(outcome["timings"].get("total", 0)),
        "diagnostics": {
            "message": outcome["message"],
            "category": outcome["category"],
            "phase": outcome["phase"],
            "serverReply": outcome["server_reply"],
            "address": outcome["address"],
            "port": outcome["port"],
            "timings": outcome["timings"],
            "tls": outcome["tls"],
            "warnings": outcome["warnings"],
        },
        "checkedAt": iso_milliseconds(check.timestamp),
        "locationId": location["number"] if location else None,
        "locationName": location["name"] if location else check.location,
        "locationCode": check.location,
    }
