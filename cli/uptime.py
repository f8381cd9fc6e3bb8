"""`postwatch uptime`: how long a monitor was up, down, in maintenance, or nobody knows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cli.exit_codes import ExitCode
from cli.failure import CommandError
from cli.history import parse_public_id
from cli.session import session
from cli.tables import print_json, print_rows
from domain.clock import utc_now
from domain.errors import InvalidValueError
from domain.uptime import milliseconds, watched_spans
from projections.uptime_report import GRANULARITIES, RANGES, Asked, asked, uptime
from projections.uptime_shapes import uptime_shape

if TYPE_CHECKING:
    from datetime import datetime

    from projections.uptime_report import Granularity


@click.command("uptime")
@click.argument("public_id")
@click.option("--range", "range_", type=click.Choice(list(RANGES)), default="day")
@click.option("--granularity", type=click.Choice(GRANULARITIES), help="Hours or days.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, as the API does.")
def uptime_of(
    public_id: str, range_: str, granularity: Granularity | None, *, as_json: bool
) -> None:
    """Show how long the monitor PUBLIC_ID was up, by hours or days; also of a deleted one.

    Time for which no check vouches is unknown: it counts neither as up nor as down. The
    seconds of all locations are added, so an hour of two locations has 7200.
    """
    now = utc_now()
    time = _asked(range_, granularity, now)
    with session() as opened:
        monitor_id = parse_public_id(public_id)
        events = list(opened.store.monitoring.events.get(monitor_id))
        if not events:
            raise CommandError(ExitCode.FAILED, f"there is no monitor {public_id}")
        opened.require("roll_ups")
        spans = watched_spans(events, milliseconds(now))
        retirements = partial(opened.store.monitoring.retirements, now=milliseconds(now))
        found = uptime(opened.views.roll_ups, str(monitor_id), spans, time, retirements)
        shape = uptime_shape(found, time)
    if as_json:
        print_json(shape)
        return
    columns = {"start": "From", "percent": "Up %", "up": "Up s", "down": "Down s"}
    more = {"maintenance": "Maintenance s", "unknown": "Unknown s", "notWatched": "Not watched s"}
    figures = {"checks": "Checks", "failed": "Failed", "p50": "p50 ms", "p95": "p95 ms"}
    rows = [_row(each) for each in (*shape["data"], {**shape, "start": "all"})]
    print_rows(rows, {**columns, **more, **figures, "max": "max ms"}, as_json=False)


def _asked(range_: str, granularity: Granularity | None, now: datetime) -> Asked:
    try:
        return asked(range_, granularity, now)
    except InvalidValueError as error:
        raise click.BadParameter(error.message, param_hint="--granularity") from None


def _row(figures: dict[str, Any]) -> dict[str, Any]:
    none = dict.fromkeys(("p50", "p95", "max"))
    return {
        "start": figures["start"],
        "percent": figures["uptimePercent"],
        **figures["seconds"],
        "checks": figures["checks"],
        "failed": figures["failed"],
        **figures["timings"].get("total", none),
    }
