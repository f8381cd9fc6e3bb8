"""Customers that change, tokens in use, locations, repeated requests, expected versions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from domain.access_token import USE_RECORDED_EVERY, AccessToken
from domain.actor import operator
from domain.commands import CreateCustomer, IssueToken, UpdateCustomer, UpdateMonitor
from domain.errors import ConflictError, NotFoundError, RetiredError, StaleVersionError
from domain.fields import CUSTOMER_DEFAULTS, CUSTOMER_FIELDS, current_values
from domain.idempotency import RequestAnswered
from domain.location import location_id
from domain.organization import Customer
from store.log_reader import LogReader
from tests.domain.given import NOON, ORGANIZATION_ID, TESTER, check_of

if TYPE_CHECKING:
    from domain.monitor import Monitor
    from store.store import Store
    from tests.domain.given import Owners


def head(store: Store) -> int:
    return LogReader(store.monitoring).head()


def test_a_customer_begins_with_the_defaults_and_records_what_differs_from_them(
    store: Store, owners: Owners
) -> None:
    details = {"status": "active", "package_type": "pro"}
    command = CreateCustomer(owners.organization.id, "Name", None, details)

    customer = store.monitoring.create_customer(command, TESTER)

    assert current_values(customer, CUSTOMER_FIELDS) == {
        **CUSTOMER_DEFAULTS,
        "package_type": "pro",
        "name": "Name",
        "email": None,
    }
    (created,) = store.monitoring.events.get(customer.id)
    assert isinstance(created, Customer.Created)
    assert created.details == {"package_type": "pro"}


def test_an_updated_customer_records_what_changed_and_nothing_otherwise(
    store: Store, owners: Owners
) -> None:
    update = UpdateCustomer(owners.customer.id, {"name": "New", "email": "ops@example.com"})

    changed = store.monitoring.update_customer(update, TESTER)
    stored = head(store)
    store.monitoring.update_customer(update, TESTER)

    assert changed.name == "New"
    assert head(store) == stored
    last = list(store.monitoring.events.get(owners.customer.id))[-1]
    assert isinstance(last, Customer.Updated)
    assert last.changes == {"name": "New"}
    with pytest.raises(NotFoundError, match="Customer not found"):
        store.monitoring.update_customer(UpdateCustomer(uuid4(), {}), TESTER)


def test_the_use_of_a_token_is_recorded_once_in_a_while() -> None:
    command = IssueToken(ORGANIZATION_ID, None, "Name", "user", f"wsm_{'u' * 40}")
    token = AccessToken.issue(1, command, actor=TESTER, now=NOON)

    assert token.use(actor=TESTER, now=NOON)
    assert not token.use(actor=TESTER, now=NOON + USE_RECORDED_EVERY - timedelta(seconds=1))
    assert token.use(actor=TESTER, now=NOON + USE_RECORDED_EVERY)
    assert [type(each) for each in token.collect_events()] == [
        AccessToken.Created,
        AccessToken.Used,
        AccessToken.Used,
    ]


def test_the_use_of_a_token_by_many_processes_is_recorded_once(
    store: Store, owners: Owners
) -> None:
    command = IssueToken(owners.organization.id, None, "Name", "user", f"wsm_{'u' * 40}")
    token = store.monitoring.issue_token(command, TESTER)
    barrier = Barrier(8)

    def use(_: int) -> None:
        barrier.wait(30)
        store.monitoring.use_token(token.id, TESTER)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))

    assert len(list(store.monitoring.events.get(token.id))) == 2


def test_a_location_is_registered_once_and_then_updated(store: Store) -> None:
    register = store.monitoring.register_location

    first = register("de-nbg", "Nuremberg", "DE", TESTER)
    stored = head(store)
    again = register("de-nbg", "Nuremberg", "DE", TESTER)
    assert head(store) == stored
    moved = register("de-nbg", "Nürnberg", None, TESTER)
    other = register("fi-hel", "Helsinki", "FI", TESTER)

    assert [each.location.number for each in (first, again, moved, other)] == [1, 1, 1, 2]
    assert first.location.id == location_id("de-nbg")
    assert (moved.location.name, moved.location.country) == ("Nürnberg", None)
    assert [each.changes for each in (first, again, other)] == [{}, {}, {}]
    assert moved.changes == {"name": ("Nuremberg", "Nürnberg"), "country": ("DE", None)}
    assert not any(each.is_back for each in (first, again, moved, other))


def test_a_retired_location_is_in_use_again_with_the_next_start(store: Store) -> None:
    monitoring = store.monitoring
    monitoring.register_location("de-nbg", "Nuremberg", "DE", TESTER)

    assert monitoring.retire_location("de-nbg", TESTER).is_retired
    with pytest.raises(ConflictError, match="de-nbg is retired already"):
        monitoring.retire_location("de-nbg", TESTER)
    with pytest.raises(NotFoundError):
        monitoring.retire_location("fi-hel", TESTER)
    stored = head(store)
    with pytest.raises(RetiredError, match="de-nbg is retired"):
        monitoring.register_location("de-nbg", "Nürnberg", "AT", TESTER, may_restore=False)
    assert head(store) == stored, "a refused start changes nothing"
    back = monitoring.register_location("de-nbg", "Nürnberg", "DE", TESTER)

    assert (back.is_back, back.location.is_retired, back.location.number) == (True, False, 1)
    assert back.changes == {"name": ("Nuremberg", "Nürnberg")}
    events = [each.event for each in LogReader(monitoring).after(2, 100)]
    assert [type(each).TOPIC for each in events] == [
        "LocationRetired",
        "LocationRestored",
        "LocationUpdated",
    ]
    assert [each.actor for each in events] == [TESTER] * 3
    assert not monitoring.register_location("de-nbg", "Nürnberg", "DE", TESTER).is_back


def test_of_many_who_retire_a_location_at_once_one_does_it(store: Store) -> None:
    store.monitoring.register_location("de-nbg", "Nuremberg", "DE", TESTER)
    barrier = Barrier(8)

    def retire(_: int) -> bool:
        barrier.wait(30)
        try:
            store.monitoring.retire_location("de-nbg", TESTER)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(retire, range(8))) == 1

    assert head(store) == 3


def test_a_start_and_a_retirement_at_once_come_one_after_the_other(store: Store) -> None:
    store.monitoring.register_location("de-nbg", "Nuremberg", "DE", TESTER)
    barrier = Barrier(2)

    def start() -> bool:
        barrier.wait(30)
        return store.monitoring.register_location("de-nbg", "Nuremberg", "DE", TESTER).is_back

    def retire() -> None:
        barrier.wait(30)
        store.monitoring.retire_location("de-nbg", TESTER)

    with ThreadPoolExecutor(2) as pool:
        came, went = pool.submit(start), pool.submit(retire)
        is_back, _ = came.result(), went.result()

    topics = [type(each.event).TOPIC for each in LogReader(store.monitoring).after(2, 100)]
    assert topics == ["LocationRetired", *["LocationRestored"] * is_back]


def test_checkers_that_start_at_once_register_their_location_once(store: Store) -> None:
    barrier = Barrier(8)

    def register(_: int) -> int:
        barrier.wait(30)
        return store.monitoring.register_location(
            "de-nbg", "Nuremberg", "DE", TESTER
        ).location.number

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(register, range(8)))

    assert numbers == [1] * 8
    assert head(store) == 2


def test_a_repeated_create_makes_one_monitor_also_when_16_come_at_once(
    store: Store, owners: Owners
) -> None:
    barrier = Barrier(16)

    def create(_: int) -> Monitor:
        repeat = store.monitoring.idempotency_key("token", "key-1", b"body")
        barrier.wait(30)
        return store.monitoring.create_monitor(owners.create(), TESTER, repeat=repeat)

    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(create, range(16)))

    assert len({monitor.id for monitor in made}) == 1
    assert {monitor.number for monitor in made} == {1}
    events = [each.event for each in LogReader(store.monitoring).after(0, 100)]
    assert len([each for each in events if isinstance(each, RequestAnswered)]) == 1


def test_a_key_used_for_another_request_is_a_conflict_and_another_scope_is_not(
    store: Store, owners: Owners
) -> None:
    def create(scope: str, body: bytes) -> UUID:
        repeat = store.monitoring.idempotency_key(scope, "key-1", body)
        return store.monitoring.create_monitor(owners.create(), TESTER, repeat=repeat).id

    first = create("one", b"body")

    with pytest.raises(ConflictError, match="Idempotency-Key"):
        create("one", b"another body")
    assert create("two", b"another body") != first
    assert create("one", b"body") == first


def test_what_is_kept_of_a_request_depends_on_the_master_key(store: Store) -> None:
    repeat = store.monitoring.idempotency_key("scope", "key", b"a password may stand in it")

    assert "password" not in repr(repeat)
    assert len(repeat.digest) == 64
    assert repeat == store.monitoring.idempotency_key("scope", "key", b"a password may stand in it")
    assert repeat.digest != store.monitoring.idempotency_key("scope", "key", b"other").digest


def test_a_change_to_an_expected_version_is_made_to_that_version_or_not_at_all(
    store: Store, owners: Owners
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    update = UpdateMonitor(monitor.id, {"name": "New"}, expected_version=1)

    assert store.monitoring.update_monitor(update, TESTER).version == 2
    with pytest.raises(StaleVersionError):
        store.monitoring.update_monitor(update, TESTER)
    with pytest.raises(StaleVersionError):
        store.monitoring.update_monitor(
            UpdateMonitor(monitor.id, {"name": "Other"}, expected_version=9), TESTER
        )


def test_of_16_changes_to_one_expected_version_one_is_made(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    barrier = Barrier(16)

    def change(number: int) -> bool:
        changes = {"name": f"Writer {number}"}
        barrier.wait(30)
        try:
            store.monitoring.update_monitor(UpdateMonitor(monitor.id, changes, 1), TESTER)
        except StaleVersionError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(change, range(16)))

    assert made.count(True) == 1
    assert len(list(store.monitoring.events.get(monitor.id))) == 2


def test_a_repeated_create_returns_the_monitor_as_it_was_made(store: Store, owners: Owners) -> None:
    monitoring = store.monitoring
    repeat = monitoring.idempotency_key("token", "key-1", b"body")
    made = monitoring.create_monitor(owners.create(), TESTER, repeat=repeat)
    monitoring.update_monitor(UpdateMonitor(made.id, {"name": "Renamed"}), TESTER)
    monitoring.delete_monitor(made.id, TESTER)

    again = monitoring.create_monitor(owners.create(), TESTER, repeat=repeat)

    assert (again.id, again.version, again.name) == (made.id, 1, made.name)
    assert not again.deleted


def test_the_newest_checks_come_newest_first(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    checks = [check_of(monitor, minute) for minute in range(5)]
    store.checks.record(checks, location="local", actor=TESTER)

    newest = store.checks.newest(monitor.id, "local", 2)

    assert [each.originator_version for each in newest] == [5, 4]
    assert store.checks.newest(monitor.id, "elsewhere", 2) == []


def test_an_operator_is_named_by_the_user_of_the_machine() -> None:
    assert operator("root") == {"type": "operator", "id": "root"}
