"""A store whose checks and clock a test makes, and the decider that follows it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from alerting.decider import BATCH, Decider
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from domain.commands import UpdateCustomer
from domain.notification_channel import NotificationChannel
from tests.domain.given import NOON, TESTER, Owners, make_owners

if TYPE_CHECKING:
    from domain.monitor import Monitor
    from store.store import Store
    from tests.places import Place


CHANNEL: Final[dict[str, Any]] = {
    "type": "email",
    "name": "On call",
    "config": {"email": "oncall@example.com"},
}
PACKAGE: Final = {"alertGroupWaitSeconds": 0}


@dataclass
class Clock:
    """Seconds since noon that a test sets."""

    after_noon: float = 0.0

    def __call__(self) -> float:
        return NOON.timestamp() + self.after_noon

    def moment(self) -> datetime:
        return NOON + timedelta(seconds=self.after_noon)


@dataclass
class Scene:
    """A store with one location and one channel, and a clock."""

    place: Place
    store: Store
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.store.monitoring.clock = self.clock.moment
        self.store.incidents.clock = self.clock.moment
        self.owners: Owners = make_owners(self.store)
        organization = self.owners.organization.id
        monitoring = self.store.monitoring
        self.channel = monitoring.resources.create(
            NotificationChannel, organization, CHANNEL, TESTER
        )
        monitoring.resources.set_package(organization, "basic", PACKAGE, TESTER)
        changed = UpdateCustomer(self.owners.customer.id, {"package_type": "basic"})
        monitoring.update_customer(changed, TESTER)
        monitoring.register_location("local", "Local", "DE", TESTER)

    def monitor(self, hostname: str = "smtp.example.com", name: str = "Mail") -> Monitor:
        """Make a monitor that is checked every five minutes."""
        command = self.owners.create(hostname=hostname, check_interval=5, name=name)
        return self.store.monitoring.create_monitor(command, TESTER)

    def decider(self, batch: int = BATCH) -> Decider:
        """Return a decider of this store, as another process makes it."""
        return Decider(self.store, clock=self.clock, batch=batch)

    def check(self, monitor: Monitor, after_noon: float, category: str = "timeout") -> None:
        """Record a check that ended at a time, and set the clock to that time."""
        self.clock.after_noon = max(self.clock.after_noon, after_noon)
        self.record([(monitor, after_noon, category)])

    def record(self, checks: list[tuple[Monitor, float, str]]) -> None:
        """Record checks in one transaction."""
        batch = [_performed(monitor, at, category) for monitor, at, category in checks]
        self.store.checks.record(batch, location="local", actor=TESTER)

    def events(self) -> list[Any]:
        """Return everything that was decided."""
        return [each.event for each in self.store.reader("incidents").after(0, 1_000_000)]

    def topics(self) -> list[str]:
        """Return the topics of what was decided, without numbers and start."""
        ignored = {"Registered", "AlertingStarted"}
        topics = [type(each).TOPIC for each in self.events()]
        return [each for each in topics if each not in ignored]

    def counts(self) -> Counter[str]:
        """Return how often each topic was decided."""
        return Counter(self.topics())


def _performed(monitor: Monitor, after_noon: float, category: str) -> PerformedCheck:
    moment = NOON + timedelta(seconds=after_noon)
    verdict = "up" if category == "ok" else "down"
    return PerformedCheck(
        monitor_id=monitor.id,
        monitor_version=monitor.version,
        kind=monitor.kind,
        due_at=iso_milliseconds(moment),
        started_at=iso_milliseconds(moment),
        finished_at=moment,
        outcome={"verdict": verdict, "category": category, "timings": {}, "warnings": []},
    )
