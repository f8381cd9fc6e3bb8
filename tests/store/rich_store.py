"""For tests of transfers: a store with data of every kind, and what to compare between stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.clock import iso_milliseconds, utc_now
from domain.commands import IssueToken, UpdateMonitor
from domain.incident import Incident, incident_id
from domain.incidents import TrackingMove
from domain.notification import Notification, notification_id
from domain.numbering import number_given
from projections.catalog import PROJECTIONS, Views
from store.ports.engine import LOGS
from tests.domain.given import CREATE_IMAP, TESTER, check_of, make_owners
from tests.intruder import intruder_of

if TYPE_CHECKING:
    from uuid import UUID

    from domain.monitor import Monitor
    from store.store import Store
    from tests.places import Place


SECRET = "canary-of-a-rich-store-7d21"
TOKEN = "wsm_rich-store-aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
REQUEST = b"a request with a key of its own"


class Rich(NamedTuple):
    """What was made: a monitor with a secret, one that was deleted, and the thing of a request."""

    kept: UUID
    deleted: UUID
    repeated: UUID


def fill(place: Place, key: bytes | None = None) -> Rich:
    """Make a store with customers, a token, monitors, secrets, checks, and gaps in positions."""
    with place.create(key) as store:
        store.keys.signing_seed()
        owners = make_owners(store)
        make_owners(store, "Zweite Ü")
        store.monitoring.issue_token(
            IssueToken(owners.organization.id, None, "Reader", "readonly", TOKEN), TESTER
        )
        store.monitoring.register_location("local", "Local", "DE", TESTER)
        for code in ("de-nbg", "fi-hel"):
            store.monitoring.register_location(code, code, None, TESTER)
            store.monitoring.retire_location(code, TESTER)
        store.monitoring.register_location("fi-hel", "Helsinki", "FI", TESTER)
        config = {"auth": {"user": "u", "pass": SECRET}}
        kept = store.monitoring.create_monitor(owners.create(config=config), TESTER)
        mailbox = store.monitoring.create_monitor(
            owners.create(CREATE_IMAP, config={"user": "u", "password": SECRET}), TESTER
        )
        store.monitoring.update_monitor(UpdateMonitor(kept.id, {"name": "Renamed"}), TESTER)
        deleted = store.monitoring.create_monitor(owners.create(config=config), TESTER)
        store.monitoring.delete_monitor(deleted.id, TESTER)
        repeat = store.monitoring.idempotency_key("token", "key-1", REQUEST)
        repeated = store.monitoring.create_monitor(owners.create(), TESTER, repeat=repeat)
        for minute in range(40):
            checks = [check_of(kept, minute), check_of(mailbox, minute, "down")]
            store.checks.record(checks, location="local", actor=TESTER)
        intruder_of(store).sql(
            "checks",
            "DELETE FROM {events} WHERE {position} <= 10 OR {position} IN (33, 34, 79, 80)",
        )
        decide(store, kept)
        return Rich(kept.id, deleted.id, repeated.id)


def decide(store: Store, monitor: Monitor) -> Incident:
    """Record an incident of a monitor, a message about it, and that somebody takes care."""
    store.incidents.start(0, 1, TESTER)
    now = utc_now()
    fields = {
        "type": "downtime",
        "organization_id": monitor.organization_id,
        "customer_id": monitor.customer_id,
        "monitor_id": str(monitor.id),
        "location": None,
        "server": f"{monitor.organization_id}/{monitor.hostname}",
        "outage_started_at": iso_milliseconds(now),
        "rests_on": [{"location": "local", "version": 3, "category": "timeout"}],
        "voters": 1,
        "threshold": 1,
        "held": False,
    }
    identifier = incident_id(str(monitor.id), "downtime", "local/3")
    incident = Incident.open(identifier, 1, fields=fields, actor=TESTER, now=now)
    plan = Notification.plan(
        notification_id("channel", "first"),
        fields={
            "kind": "alert",
            "incidents": [{"id": str(identifier), "generation": 1}],
            "organization_id": monitor.organization_id,
            "channel_id": "channel",
            "channel_version": 1,
            "group": "group",
            "opened_by": f"{identifier}/1",
            "number": 1,
            "reminder": 0,
            "level": None,
            "due_at": iso_milliseconds(now),
        },
        actor=TESTER,
        now=now,
    )
    given = number_given("incident", 1, identifier, actor=TESTER, timestamp=now)
    events: list[Any] = [given, *incident.collect_events(), *plan.collect_events()]
    store.incidents.record(events, TrackingMove("checks", 0, 20))
    return store.incidents.acknowledge(identifier, TESTER, "on my way")


def rows(place: Place) -> dict[str, Any]:
    """Return every event of all logs as it is stored, and the next positions."""
    with place.engine() as engine:
        logs = {name: engine.rows(name) for name in LOGS}
        return {name: (log.after(0, 100_000), log.last_given()) for name, log in logs.items()}


def shown(store: Store) -> dict[str, Any]:
    """Return every row of every view, caught up."""
    with Views(store) as views:
        for projector in views.projectors.values():
            projector.catch_up()
        return {
            f"{projection.name}.{table.name}": list(
                views.projector(projection.name).view.rows(table)
            )
            for projection in PROJECTIONS
            for table in projection.tables
        }
