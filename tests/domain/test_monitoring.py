"""The commands of the `monitoring` log: what they store, and what they refuse."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from domain.commands import CreateCustomer, IssueToken, UpdateMonitor
from domain.errors import ConflictError, InvalidInputError, LostEventsError, NotFoundError
from domain.monitor import Monitor
from domain.monitoring import Monitoring
from domain.numbering import Registered
from domain.organization import Customer
from store.keys.key_ring import KeyRing
from store.keys.sealing import new_key
from store.log_reader import LogReader
from tests.domain.given import CREATE_IMAP, NOON, TESTER, make_owners

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventsourcing.domain import DomainEventProtocol
    from eventsourcing.persistence import Recording

    from domain.access_token import AccessToken
    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


THREADS = 16
TOKEN = f"wsm_{'t' * 40}"


def head(store: Store) -> int:
    return LogReader(store.monitoring).head()


def stored(store: Store, monitor_id: UUID) -> list[object]:
    return list(store.monitoring.events.get(monitor_id))


def issue(store: Store, owners: Owners, customer_id: UUID | None = None) -> AccessToken:
    command = IssueToken(owners.organization.id, customer_id, "Token", "user", TOKEN)
    return store.monitoring.issue_token(command, TESTER)


def test_the_first_start_makes_an_organization_a_customer_and_a_token_once(store: Store) -> None:
    assert store.monitoring.set_up("Example", "First", TOKEN)
    made = head(store)

    assert not store.monitoring.set_up("Example", "First", TOKEN)

    assert made == 6
    assert head(store) == made


def test_of_two_first_starts_at_once_one_makes_the_organization(store: Store) -> None:
    barrier = Barrier(8)

    def start(_: int) -> bool:
        barrier.wait(30)
        return store.monitoring.set_up("Example", "First", TOKEN)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(start, range(8)))

    assert made.count(True) == 1
    assert head(store) == 6


def test_numbers_count_from_1_for_each_sort_of_thing(store: Store) -> None:
    first, second = make_owners(store), make_owners(store)

    assert (first.organization.number, second.organization.number) == (1, 2)
    assert (first.customer.number, second.customer.number) == (1, 2)
    assert store.monitoring.create_monitor(first.create(), TESTER).number == 1
    assert store.monitoring.create_monitor(first.create(CREATE_IMAP), TESTER).number == 1
    assert store.monitoring.create_monitor(second.create(), TESTER).number == 2


def test_a_number_is_registered_right_before_its_thing(store: Store, owners: Owners) -> None:
    before = head(store)

    monitor = store.monitoring.create_monitor(owners.create(), TESTER)

    registered, created = (
        each.event for each in LogReader(store.monitoring).after(before, limit=10)
    )
    assert type(registered) is Registered
    assert registered.registered_id == str(monitor.id)
    assert registered.originator_version == created.number == monitor.number
    assert registered.actor == created.actor == TESTER
    assert registered.timestamp == created.timestamp


def test_numbers_are_unique_and_without_gaps_with_16_writers_at_once(
    store: Store, owners: Owners
) -> None:
    barrier = Barrier(THREADS)

    def create(_: int) -> list[int]:
        barrier.wait(30)
        return [
            store.monitoring.create_monitor(
                owners.create(config={"auth": {"user": "u", "pass": "p"}}), TESTER
            ).number
            for _ in range(3)
        ]

    with ThreadPoolExecutor(THREADS) as pool:
        numbers = [number for made in pool.map(create, range(THREADS)) for number in made]

    assert sorted(numbers) == list(range(1, 3 * THREADS + 1))


def test_every_acknowledged_change_of_16_writers_is_in_the_history(
    store: Store, owners: Owners
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    barrier = Barrier(THREADS)

    def rename(number: int) -> None:
        barrier.wait(30)
        for step in range(2):
            changes = {"name": f"Writer {number} step {step}"}
            store.monitoring.update_monitor(UpdateMonitor(monitor.id, changes), TESTER)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(rename, range(THREADS)))

    events = stored(store, monitor.id)
    names = [each.changes["name"] for each in events if isinstance(each, Monitor.Updated)]
    assert sorted(names) == sorted(
        f"Writer {number} step {step}" for number in range(THREADS) for step in range(2)
    )
    versions = [each.originator_version for each in events if isinstance(each, Monitor.Event)]
    assert versions == list(range(1, 2 * THREADS + 2))
    for number in range(THREADS):
        own = [name for name in names if name.startswith(f"Writer {number} ")]
        assert own == sorted(own), "a writer's own changes swapped their order"


def test_writers_of_different_fields_do_not_undo_each_other(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    changes = [
        {"name": "New"},
        {"port": 25},
        {"status": "disabled"},
        {"hostname": "new.example.com"},
        {"config": {"auth": {"user": "u", "pass": "p"}}},
    ]
    barrier = Barrier(len(changes))

    def change(one: dict[str, object]) -> None:
        barrier.wait(30)
        store.monitoring.update_monitor(UpdateMonitor(monitor.id, one), TESTER)

    with ThreadPoolExecutor(len(changes)) as pool:
        list(pool.map(change, changes))

    found: Monitor = store.monitoring.repository.get(monitor.id)
    assert found.name == "New"
    assert found.port == 25
    assert found.status == "disabled"
    assert found.hostname == "new.example.com"
    clear = store.monitoring.unsealed(monitor.id, "smtp", found.config)
    assert clear == {"auth": {"user": "u", "pass": "p"}}


def test_a_customer_needs_its_organization(store: Store) -> None:
    with pytest.raises(NotFoundError, match="Organization not found"):
        store.monitoring.create_customer(CreateCustomer(uuid4(), "Name", None), TESTER)


def test_an_id_of_another_sort_is_not_found(store: Store, owners: Owners) -> None:
    command = CreateCustomer(owners.customer.id, "Name", None)

    with pytest.raises(NotFoundError, match="Organization not found"):
        store.monitoring.create_customer(command, TESTER)
    with pytest.raises(NotFoundError, match="Monitor not found"):
        store.monitoring.delete_monitor(owners.customer.id, TESTER)
    with pytest.raises(NotFoundError, match="Monitor not found"):
        store.monitoring.delete_monitor(uuid4(), TESTER)


def test_a_scoped_token_needs_a_customer_of_its_organization(store: Store, owners: Owners) -> None:
    foreign = make_owners(store, "Foreign")

    assert issue(store, owners, owners.customer.id).number == 1
    with pytest.raises(NotFoundError, match="Customer not found"):
        issue(store, owners, foreign.customer.id)
    with pytest.raises(NotFoundError, match="Customer not found"):
        issue(store, owners, uuid4())


def test_a_token_is_revoked_once(store: Store, owners: Owners) -> None:
    token = issue(store, owners)

    store.monitoring.revoke_token(token.id, TESTER)

    with pytest.raises(ConflictError, match="token 1 is revoked already"):
        store.monitoring.revoke_token(token.id, TESTER)
    with pytest.raises(NotFoundError, match="Token not found"):
        store.monitoring.revoke_token(uuid4(), TESTER)


@pytest.mark.parametrize("config", [{"user": "u"}, {"password": "p"}])
def test_half_an_imap_login_is_refused_and_nothing_is_stored(
    store: Store, owners: Owners, config: dict[str, str]
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(CREATE_IMAP), TESTER)
    before = head(store)

    with pytest.raises(InvalidInputError):
        store.monitoring.update_monitor(UpdateMonitor(monitor.id, {"config": config}), TESTER)

    assert head(store) == before


def test_a_deleted_monitor_takes_no_commands(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    store.monitoring.delete_monitor(monitor.id, TESTER)

    with pytest.raises(NotFoundError):
        store.monitoring.delete_monitor(monitor.id, TESTER)
    with pytest.raises(NotFoundError):
        store.monitoring.update_monitor(UpdateMonitor(monitor.id, {"name": "x"}), TESTER)


def test_an_update_without_a_change_stores_nothing(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    before = head(store)

    store.monitoring.update_monitor(UpdateMonitor(monitor.id, {"port": 587}), TESTER)

    assert head(store) == before


def test_events_carry_the_time_of_the_clock_that_was_given(place: Place) -> None:
    times = iter(NOON + timedelta(minutes=minute) for minute in range(10))
    with place.engine() as engine:
        keys = KeyRing(engine.keys(create=True), new_key())
        environment = engine.environment("monitoring", create=True)
        with Monitoring(keys, environment, clock=lambda: next(times)) as monitoring:
            organization = monitoring.create_organization("Example", TESTER)
            command = CreateCustomer(organization.id, "C", None)
            customer = monitoring.create_customer(command, TESTER)

    assert organization.created_on == NOON
    assert customer.created_on == NOON + timedelta(minutes=1)


def test_observers_see_what_was_recorded(store: Store, owners: Owners) -> None:
    seen: list[object] = []
    store.monitoring.observers.append(
        lambda recordings: seen.extend(type(each.domain_event) for each in recordings)
    )

    store.monitoring.create_monitor(owners.create(), TESTER)

    assert seen == [Registered, Monitor.Created]


def test_the_events_of_some_streams_are_read_at_once_each_in_order(
    store: Store, owners: Owners
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    store.monitoring.update_monitor(UpdateMonitor(monitor.id, {"name": "New"}), TESTER)

    found = store.monitoring.events_of([monitor.id, uuid4(), owners.customer.id])

    assert [[type(event) for event in events] for events in found] == [
        [Monitor.Created, Monitor.Updated],
        [],
        [Customer.Created],
    ]


def test_a_token_in_use_is_recorded_once_an_hour(store: Store, owners: Owners) -> None:
    command = IssueToken(owners.organization.id, None, "Name", "user", f"wsm_{'u' * 40}")
    token = store.monitoring.issue_token(command, TESTER)

    for _ in range(2):
        store.monitoring.use_token(token.id, TESTER)

    assert len(list(store.monitoring.events.get(token.id))) == 2


def test_the_deletion_of_a_monitor_that_never_was_is_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError, match="Monitor not found"):
        store.monitoring.delete_monitor(uuid4(), TESTER)


def test_a_command_after_lost_events_reads_its_aggregate_again(
    store: Store, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    put, lost = store.monitoring.events.put, [LostEventsError()]

    def lose_once(events: Sequence[DomainEventProtocol[UUID]]) -> list[Recording[UUID]]:
        if lost:
            raise lost.pop()
        return put(events)

    monkeypatch.setattr(store.monitoring.events, "put", lose_once)
    cache = store.monitoring.repository.cache

    changed = store.monitoring.update_monitor(UpdateMonitor(monitor.id, {"name": "New"}), TESTER)

    assert (changed.name, changed.version) == ("New", 2)
    assert store.monitoring.repository.cache is not cache


def test_a_config_key_that_is_called_like_the_status_is_none(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    before = store.monitoring.watched(monitor.id, 2**52)

    change = UpdateMonitor(monitor.id, {"config": {"status": "disabled"}})
    store.monitoring.update_monitor(change, TESTER)

    assert store.monitoring.watched(monitor.id, 2**52) == before
