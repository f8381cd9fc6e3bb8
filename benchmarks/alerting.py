"""What alerting costs: the policy by itself, and catching up with a log of checks.

python -m benchmarks.alerting [--monitors 2000] [--rounds 20]

Prints the CPU time of the policy for each check, good ones and those of an outage, and how many
checks a second a decider reads, decides on and stores on files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from alerting.decider import Decider
from alerting.policy.facts import Channel, Check, MonitorSettings
from alerting.policy.policy import Policy
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from store.store import create_store
from tests.domain.given import CREATE_SMTP, TESTER, make_owners

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.monitor import Monitor
    from store.store import Store


LOCATIONS: Final = ("a", "b", "c")
INTERVAL: Final = 300
_START: Final = datetime.now(tz=UTC) - timedelta(days=2)


class _NoWindows:
    def open_until(self, monitor_id: str, now: float) -> None:
        del monitor_id, now

    def last_end(self, monitor_id: str, now: float) -> float:
        del monitor_id, now
        return float("-inf")


class _OneChannel:
    def of(self, monitor_id: str) -> Sequence[Channel]:
        del monitor_id
        return (Channel("people"),)


def policy_of(monitors: int) -> Policy:
    """Return a policy that watches monitors, ten on a server."""
    policy = Policy(_NoWindows(), _OneChannel())
    for number in range(monitors):
        name = f"m{number}"
        policy.note_monitor(
            MonitorSettings(
                monitor_id=name,
                organization_id="o",
                customer_id="k",
                hostname=f"s{number // 10}",
                status="active",
                interval_seconds=INTERVAL,
                timeout_seconds=30,
                since=0,
                locations=LOCATIONS,
            ),
            0,
        )
    policy.resume(0)
    return policy


def checks_of(monitors: int, rounds: range, category: str) -> list[Check]:
    """Return checks of all monitors at all locations, in order."""
    return [
        Check(f"m{n}", place, r + 1, 1, r * INTERVAL + n * INTERVAL / monitors, category)
        for r in rounds
        for n in range(monitors)
        for place in LOCATIONS
    ]


def measure_policy(monitors: int, rounds: int) -> None:
    """Print the CPU time of good checks, and of an outage that all locations see."""
    policy = policy_of(monitors)
    for category, part in (
        ("ok", range(rounds)),
        ("timeout", range(rounds, rounds + 4)),
        ("ok", range(rounds + 4, rounds + 6)),
    ):
        checks = checks_of(monitors, part, category)
        began = time.process_time()
        decided = 0
        for check in checks:
            policy.note_check(check, check.finished)
            decided += len(policy.take())
        spent = time.process_time() - began
        each = spent / len(checks) * 1e6
        print(f"policy, {category}: {each:.1f} us each of {len(checks)} checks, {decided} events")


def fill(store: Store, monitors: int, rounds: int) -> None:
    """Record checks: one monitor in fifty fails for a while."""
    owners = make_owners(store)
    command = replace(
        CREATE_SMTP, organization_id=owners.organization.id, customer_id=owners.customer.id
    )
    store.monitoring.clock = lambda: _START
    store.monitoring.register_location("local", "Local", None, TESTER)
    made = [
        store.monitoring.create_monitor(
            replace(command, hostname=f"s{number // 10}.example.com", check_interval=5), TESTER
        )
        for number in range(monitors)
    ]
    store.incidents.clock = lambda: _START
    store.incidents.start(0, 1, TESTER)
    for number in range(rounds):
        batch = [_performed(each, number, index) for index, each in enumerate(made)]
        store.checks.record(batch, location="local", actor=TESTER)


def _performed(monitor: Monitor, number: int, index: int) -> PerformedCheck:
    moment = _START + timedelta(seconds=number * INTERVAL + index * INTERVAL / 2000)
    is_down = index % 50 == 0 and number % 10 in (3, 4, 5, 6)
    category = "connect_refused" if is_down else "ok"
    return PerformedCheck(
        monitor_id=UUID(str(monitor.id)),
        monitor_version=1,
        kind="smtp",
        due_at=iso_milliseconds(moment),
        started_at=iso_milliseconds(moment),
        finished_at=moment,
        outcome={
            "verdict": "down" if is_down else "up",
            "category": category,
            "phase": None,
            "message": "The server answers.",
            "server_reply": None,
            "address": f"192.0.2.{index % 250}",
            "port": 587,
            "timings": {"dns": 1.2, "connect": 12.1, "tls": 30.3, "greeting": 12, "total": 80.2},
            "tls": None,
            "warnings": [],
        },
    )


def measure_catch_up(monitors: int, rounds: int) -> None:
    """Print how quickly a decider works off a log, and starts again after it."""
    with tempfile.TemporaryDirectory() as folder, create_store(Path(folder)) as store:
        fill(store, monitors, rounds)
        head = store.reader("checks").head()
        decider = Decider(store)
        decider.load()
        began, spent = time.perf_counter(), time.process_time()
        while decider.step():
            pass
        took, spent = time.perf_counter() - began, time.process_time() - spent
        events = store.reader("incidents").head()
        print(
            f"catch-up: {head / took:,.0f} checks/s, {head / spent:,.0f} a second of CPU, "
            f"{events} events in the incidents log"
        )
        began = time.perf_counter()
        Decider(store).load()
        took = time.perf_counter() - began
        print(f"start after {head} checks: {took:.2f} s, {head / took:,.0f} checks/s counted again")


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--monitors", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    measure_policy(given.monitors, given.rounds)
    measure_catch_up(given.monitors, given.rounds)


if __name__ == "__main__":
    main()
