"""For tests of transfers: a store with data of every kind, and what to compare between stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from domain.commands import IssueToken, UpdateMonitor
from projections.catalog import PROJECTIONS, Views
from store.ports.engine import LOGS
from tests.domain.given import CREATE_IMAP, TESTER, check_of, make_owners
from tests.intruder import intruder_of

if TYPE_CHECKING:
    from uuid import UUID

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
        return Rich(kept.id, deleted.id, repeated.id)


def rows(place: Place) -> dict[str, Any]:
    """Return every event of both logs as it is stored, and the next positions."""
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
