"""The log lines about checkers that share a location."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checker.fleet.leased_claims import LeaseLog
from checker.runtime.metrics import CheckerMetrics
from store.ports.leases import FleetSession, FleetSnapshot, Heartbeat

if TYPE_CHECKING:
    import pytest


def snapshot(*countries: str | None) -> FleetSnapshot:
    """One checker a country, on a host that bears its number."""
    sessions = tuple(
        FleetSession(
            number, frozenset(), is_member=True, beat=Heartbeat(f"host{number}:1", country)
        )
        for number, country in enumerate(countries)
    )
    return FleetSnapshot(0, 0.0, sessions)


async def test_different_countries_are_logged_once_and_so_is_their_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    report = LeaseLog(CheckerMetrics())

    for seen in (
        snapshot("DE", "FR", "DE"),
        snapshot("DE", "FR", "DE", "FR"),
        snapshot("DE", None),
        snapshot("DE"),
        snapshot("DE", "DE"),
    ):
        report.log_snapshot(seen, held=())

    disagreed = "the checkers of this location name different countries for it: "
    advice = "; start all of them with the same --country, or POSTWATCH_COUNTRY"
    assert [each.getMessage() for each in caplog.records] == [
        f"{disagreed}DE (host0:1, host2:1); FR (host1:1){advice}",
        f"{disagreed}DE (host0:1); no country (host1:1){advice}",
        "the checkers of this location name the same country again: DE",
    ]
