"""`postwatch fleet`: the checkers of each location, their shards, and how they keep up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from checker.fleet.claims import ALL
from checker.fleet.leased_claims import FROZEN_SECONDS, OFFSET_SECONDS
from cli.terminal.output import print_json, print_line, print_rows
from cli.terminal.session import operator_session
from service.presence import checker_lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cli.terminal.session import OperatorSession
    from store.ports.leases import FleetRow


_COLUMNS: Final = {
    "location": "Location",
    "holder": "Checker",
    "state": "State",
    "shards": "Shards",
    "lagSeconds": "Lag (s)",
    "checksPerSecond": "Checks/s",
    "clockOffsetSeconds": "Clock (s)",
    "silentSeconds": "Silent (s)",
    "session": "Session",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def fleet(*, as_json: bool) -> None:
    """Show the checkers of each location, the shards that they hold, and how they keep up.

    A location's monitors are divided into 64 shards; each is held by one checker. Lag: how
    many seconds the next check is late. Checks/s: its rate now. Clock: how many seconds the
    clock of its host is ahead of the database's. Silent: seconds since its last heartbeat.
    """
    with operator_session("monitors") as opened:
        locations = _shared(opened) if opened.store.engine.has_fleet else _alone(opened)
    if as_json:
        print_json(locations)
        return
    print_rows([*_rows(locations)], _COLUMNS, as_json=False)
    for line in _remarks(locations):
        print_line(line)


def _shared(opened: OperatorSession) -> list[dict[str, Any]]:
    """Return the checkers that share each location of a database."""
    found: dict[int, list[dict[str, Any]]] = {}
    for row in opened.store.engine.fleet():
        found.setdefault(row.location_number, []).append(_checker(row))
    locations = opened.reader.locations()
    codes = {each["number"]: each["code"] for each in locations}
    in_use = {each["number"] for each in locations if each["retired_at"] is None}
    return [
        _location(codes.get(number, str(number)), found.get(number, []))
        for number in sorted(in_use | found.keys())
    ]


def _location(code: str, checkers: list[dict[str, Any]]) -> dict[str, Any]:
    held = {shard for each in checkers for shard in each["shards"]}
    return {"location": code, "unheldShards": sorted(ALL - held), "checkers": checkers}


def _checker(row: FleetRow) -> dict[str, Any]:
    beat = row.session.beat
    return {
        "holder": beat.holder if beat else row.application,
        "state": _state(row),
        "session": row.session.number,
        "shards": sorted(row.session.shards),
        "lagSeconds": round(beat.lag_seconds, 3) if beat else None,
        "checksPerSecond": round(beat.checks_per_second, 1) if beat else None,
        # Without a negative zero.
        "clockOffsetSeconds": round(beat.clock_offset_seconds, 2) + 0.0 if beat else None,
        "silentSeconds": None if row.age_seconds is None else round(row.age_seconds, 1),
    }


def _state(row: FleetRow) -> str:
    if row.session.beat is None:
        return "starting" if row.session.is_member else "no checker"
    if (row.age_seconds or 0) > FROZEN_SECONDS:
        return "still"
    return "checking" if row.session.is_member else "leaving"


def _alone(opened: OperatorSession) -> list[dict[str, Any]]:
    """Return the one checker of each location of a data folder."""
    locations = []
    for each in opened.reader.locations():
        holder = opened.store.engine.locks.holder(checker_lock(each["code"]))
        if holder is None and each["retired_at"] is not None:
            continue
        checker: dict[str, Any] = dict.fromkeys(_COLUMNS)
        del checker["location"]
        checker.update(holder=f"process {holder.pid}" if holder else None, state="checking")
        checker["shards"] = sorted(ALL)
        locations.append(_location(each["code"], [checker] if holder else []))
    return locations


def _rows(locations: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in locations:
        for checker in each["checkers"]:
            count = len(checker["shards"])
            yield {**checker, "location": each["location"], "shards": f"{count} of {len(ALL)}"}


def _remarks(locations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for each in locations:
        place, unheld = each["location"], len(each["unheldShards"])
        if not each["checkers"]:
            yield f"{place}: no checker runs"
        elif unheld:
            yield f"{place}: {unheld} of {len(ALL)} shards are held by no checker"
        for checker in each["checkers"]:
            if checker["state"] == "no checker":
                yield (
                    f"{place}: session {checker['session']} is no checker, and keeps the monitors "
                    "of its shards from being checked; end it: "
                    f"SELECT pg_terminate_backend({checker['session']})"
                )
            offset = checker["clockOffsetSeconds"] or 0
            if abs(offset) > OFFSET_SECONDS:
                yield (
                    f"{place}: the clock of {checker['holder']} is {abs(offset):.1f} s "
                    f"{'ahead of' if offset > 0 else 'behind'} the database's"
                )
