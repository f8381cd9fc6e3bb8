"""Data folders with many monitors, made through the domain in large transactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from domain.actor import SYSTEM
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds, utc_now
from domain.commands import CreateMonitor, UpdateMonitor
from domain.monitor import Monitor
from projections.catalog import Views
from store.store import create_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

    from store.store import Store


TOKEN: Final = "wsm_benchmark_token_that_is_no_secret"  # noqa: S105 - of a folder that goes away
NEEDLE: Final = "the one that is sought"
LOCATION: Final = "local"
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Population:
    """A filled folder, and the public ids of its first and of its last monitor."""

    folder: Path
    first: UUID
    last: UUID


def populate(folder: Path, monitors: int) -> Population:
    """Fill a new folder with checked monitors of one customer; the last has the needle's name."""
    with create_store(folder) as store, Views(store) as views:
        store.monitoring.set_up("Example Organization", "Example Customer", TOKEN)
        store.monitoring.register_location(LOCATION, "Local", None, SYSTEM)
        views.projector("monitors").catch_up()
        organization, customer = views.reader.organization(1), views.reader.customer(1)
        if organization is None or customer is None:
            raise LookupError("the first start made no owners")
        command = CreateMonitor(
            kind="smtp",
            organization_id=organization["public_id"],
            customer_id=customer["public_id"],
            name="Outbound SMTP",
            hostname="smtp.example.com",
            port=587,
            status="active",
            check_interval=5,
            timeout_seconds=30,
            notification_email="ops@example.com",
            notification_phone_number=None,
            allowed_check_country_codes=["DE", "US"],
            config={"secure": False, "requireTls": True, "authMethod": "PLAIN"},
        )
        made: list[Monitor] = []
        for numbers in _batches(monitors):
            batch = [_monitor(command, number, monitors) for number in numbers]
            store.monitoring.save(
                *(store.monitoring.number_given("smtp", each, SYSTEM) for each in batch), *batch
            )
            _check(store, batch)
            made += batch
        for projector in views.projectors.values():
            projector.catch_up()
    return Population(folder, made[0].id, made[-1].id)


def change_often(folder: Path, monitor_id: UUID, times: int) -> None:
    """Give a monitor a long history."""
    with create_store(folder) as store, Views(store) as views:
        for number in range(times):
            changes = {"timeout_seconds": 10 + number % 2}
            store.monitoring.update_monitor(UpdateMonitor(monitor_id, changes), SYSTEM)
        views.projector("monitors").catch_up()


def _batches(monitors: int) -> Iterator[range]:
    for start in range(1, monitors + 1, _BATCH):
        yield range(start, min(start + _BATCH, monitors + 1))


def _monitor(command: CreateMonitor, number: int, last: int) -> Monitor:
    fields = {each: getattr(command, each) for each in command.__slots__}
    fields["name"] = NEEDLE if number == last else f"Mail server {number:06}"
    fields["hostname"] = f"mail-{number:06}.example.com"
    return Monitor.create(
        number,
        CreateMonitor(**fields),
        monitor_id=uuid4(),
        config=command.config,
        actor=SYSTEM,
        now=utc_now(),
    )


def _check(store: Store, monitors: list[Monitor]) -> None:
    now = utc_now()
    outcome = {
        "verdict": "up",
        "category": "ok",
        "phase": "done",
        "message": "OK",
        "timings": {"total": 12.5},
        "warnings": [],
    }
    checks = [
        PerformedCheck(
            each.id, 1, "smtp", iso_milliseconds(now), iso_milliseconds(now), now, outcome
        )
        for each in monitors
    ]
    store.checks.record(checks, location=LOCATION, actor=SYSTEM)
