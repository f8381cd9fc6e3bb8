"""What the log says of checkers that share a location."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checker.fleet.leased_claims import LeaseLog
from checker.runtime.metrics import CheckerMetrics
from store.ports.leases import FleetSession, FleetSnapshot, Heartbeat

if TYPE_CHECKING:
    import pytest


def standing(*countries: str | None) -> FleetSnapshot:
    """One checker a country, on a host that bears its number."""
    sessions = tuple(
        FleetSession(
            number, frozenset(), is_member=True, beat=Heartbeat(f"host{number}:1", country)
        )
        for number, country in enumerate(countries)
    )
    return FleetSnapshot(0, 0.0, sessions)


async def test_who_stands_elsewhere_is_named_once_and_so_is_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    report = LeaseLog(CheckerMetrics())

    for seen in (
        standing("DE", "FR", "DE"),
        standing("DE", "FR", "DE", "FR"),
        standing("DE", None),
        standing("DE"),
        standing("DE", "DE"),
    ):
        report.standing(seen, held=())

    disagreed = "the checkers of this location do not agree where it is: "
    advice = "; start all of them with the same --country, or POSTWATCH_COUNTRY"
    assert [each.getMessage() for each in caplog.records] == [
        f"{disagreed}DE (host0:1, host2:1); FR (host1:1){advice}",
        f"{disagreed}DE (host0:1); no country (host1:1){advice}",
        "the checkers of this location agree again: DE",
    ]
