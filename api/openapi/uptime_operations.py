"""The uptime of a monitor, as an endpoint of both kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.fields import UUID
from api.openapi import names
from api.openapi.operations import Operation, json_answer, path_parameter, query
from api.openapi.vocabulary import COUNT, TIME, closed, described, ref
from domain.availability import CHECK_STATES
from domain.kinds import KINDS
from projections.views.uptime_report import GRANULARITIES, RANGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from api.http.fields import Schema


_DURATION: Final[Schema] = {"type": "number", "minimum": 0, "description": "Milliseconds."}


def operations() -> Iterator[Operation]:
    """Return the endpoint of every kind."""
    for kind in KINDS.values():
        yield Operation(
            method="get",
            path=kind.path + "/{public_id}/uptime",
            name=f"get{names.monitor(kind)}Uptime",
            tag=names.tag(kind),
            summary="Show how long a monitor was up",
            description="By hours or days (UTC), the first of them whole. A check vouches for the "
            "time until the next one should have ended; where none does, the state is unknown "
            "and counts for nothing. p50 and p95 are at most 1.6 % off, max is exact. Of several "
            "locations, times and checks are added up.",
            parameters=(
                path_parameter("public_id", UUID, "The monitor's `publicId`."),
                query("range", _enum(RANGES, "day"), "How much time."),
                query(
                    "granularity",
                    {"type": "string", "enum": list(GRANULARITIES)},
                    "Default: `hour` for a day, `day` otherwise. A year is shown by days.",
                ),
                query(
                    "endDate",
                    {"type": "string", "format": "date-time"},
                    "Default: now. The end of its hour, at most now.",
                ),
            ),
            answers={200: json_answer("The uptime", "Uptime")},
            errors=(400, 403, 404),
        )


def components() -> Schema:
    """Return every schema of this family."""
    percent = {"type": ["number", "null"], "minimum": 0, "maximum": 100}
    figures: Schema = {
        "uptimePercent": described(
            percent, "Up in what is known to be up or down, rounded down; null: nothing is known."
        ),
        "seconds": closed(dict.fromkeys((*CHECK_STATES, "unknown", "notWatched"), COUNT)),
        "checks": COUNT,
        "failed": COUNT,
        "timings": {"type": "object", "additionalProperties": ref("PhaseDurations")},
    }
    return {
        "PhaseDurations": closed(
            {"count": COUNT, "p50": _DURATION, "p95": _DURATION, "max": _DURATION}
        ),
        "UptimeOfTime": closed({"start": TIME, **figures}),
        "Uptime": closed(
            {
                "start": TIME,
                "end": TIME,
                "granularity": {"type": "string", "enum": list(GRANULARITIES)},
                **figures,
                "data": {"type": "array", "items": ref("UptimeOfTime")},
            }
        ),
    }


def _enum(names: Iterable[str], default: str) -> Schema:
    return {"type": "string", "enum": list(names), "default": default}
