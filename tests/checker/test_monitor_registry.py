"""What the checker keeps of each monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from checker.loop.monitor_registry import MonitorRegistry, ScheduledMonitor
from checker.runtime.location import Location
from domain.commands import CreateCustomer
from domain.location import MonitoringLocation
from domain.organization import Customer
from tests.checker.monitors import HERE, ME, NOW, command, ids
from tests.checker.virtual import change, new_monitor

if TYPE_CHECKING:
    from domain.monitor import Monitor


NOWHERE = Location("local", "Local")


def fold(location: Location, *things: Monitor | Customer) -> MonitorRegistry:
    registry = MonitorRegistry(location)
    for thing in things:
        for event in thing.collect_events():
            registry.apply(event)
    return registry


def watched(location: Location, monitor: Monitor) -> ScheduledMonitor | None:
    return fold(location, monitor).find(monitor.id)


def customer(countries: list[str] | None) -> Customer:
    details = {"allowed_check_country_codes": countries}
    made = CreateCustomer(command().organization_id, "Customer", None, details)
    return Customer.create(1, made, actor=ME, now=NOW)


def monitor_of(owner: Customer, **fields: Any) -> Monitor:  # noqa: ANN401 - any field
    return new_monitor(owner=(command().organization_id, owner.id), **fields)


def test_created_monitor_is_known_with_its_defaults() -> None:
    monitor = new_monitor(check_interval=0.5)
    kept = watched(HERE, monitor)

    assert kept is not None
    assert (kept.version, kept.kind, kept.hostname) == (1, "smtp", "mail.example.org")
    assert (kept.interval_seconds, kept.timeout_seconds, kept.port) == (30, 30, None)
    assert kept.config == {}


def test_update_changes_what_it_names_and_the_version() -> None:
    monitor = new_monitor(port=2525, config={"requireTls": True})
    change(monitor, NOW, hostname="new.example.org", check_interval=1)
    change(monitor, NOW, port=None, name="of no interest here", timeout_seconds=7)
    kept = watched(HERE, monitor)

    assert kept is not None
    assert (kept.version, kept.hostname, kept.port) == (3, "new.example.org", None)
    assert (kept.interval_seconds, kept.timeout_seconds) == (60, 7)
    assert kept.config == {"requireTls": True}


def test_each_change_names_its_monitor_and_nothing_else_does() -> None:
    owner = customer(None)
    monitor = monitor_of(owner)
    change(monitor, NOW, port=1)
    monitor.delete(actor=ME, now=NOW)
    registry = MonitorRegistry(HERE)

    touched = [registry.apply(event) for event in owner.collect_events()]
    assert touched == [()]
    touched = [registry.apply(event) for event in monitor.collect_events()]
    assert touched == [(monitor.id,)] * 3


@pytest.mark.parametrize(("status", "is_checked"), [("maintenance", True), ("disabled", False)])
def test_status_says_whether_a_monitor_is_checked(status: str, *, is_checked: bool) -> None:
    assert (watched(HERE, new_monitor(status=status)) is not None) is is_checked


def test_deleted_monitor_is_gone() -> None:
    monitor = new_monitor()
    monitor.delete(actor=ME, now=NOW)
    registry = fold(HERE, monitor)

    assert registry.find(monitor.id) is None
    assert len(registry) == 0


@pytest.mark.parametrize(
    ("own", "of_customer", "from_here", "from_nowhere"),
    [
        (None, None, True, True),
        (["DE", "FR"], None, True, False),
        (["US"], None, False, False),
        (None, ["DE"], True, False),
        (None, ["US"], False, False),
        (["DE"], ["US"], True, False),
    ],
)
def test_countries_decide_who_checks(
    own: list[str] | None,
    of_customer: list[str] | None,
    *,
    from_here: bool,
    from_nowhere: bool,
) -> None:
    for location, expected in ((HERE, from_here), (NOWHERE, from_nowhere)):
        owner = customer(of_customer)
        monitor = monitor_of(owner, allowed_check_country_codes=own)
        registry = fold(location, owner, monitor)
        assert (registry.find(monitor.id) is not None) is expected
        assert len(list(registry.find_all())) == expected


def test_customer_that_changes_its_countries_touches_the_monitors_that_follow_it() -> None:
    owner = customer(["DE"])
    one, other, foreign = ids(3)
    follows = monitor_of(owner, monitor_id=one)
    has_own = monitor_of(owner, monitor_id=other, allowed_check_country_codes=["DE"])
    registry = fold(HERE, owner, follows, has_own, new_monitor(foreign))

    owner.update({"allowed_check_country_codes": ["US"]}, actor=ME, now=NOW)
    (event,) = owner.collect_events()
    assert registry.apply(event) == [follows.id]
    assert registry.find(follows.id) is None
    assert registry.find(has_own.id) is not None

    owner.update({"allowed_check_country_codes": None}, actor=ME, now=NOW)
    owner.update({"status": "inactive"}, actor=ME, now=NOW)
    back, of_no_interest = owner.collect_events()
    assert registry.apply(back) == [follows.id]
    assert registry.apply(of_no_interest) == ()
    assert registry.find(follows.id) is not None


def test_restriction_can_be_taken_away() -> None:
    monitor = new_monitor(allowed_check_country_codes=["US"])
    assert watched(HERE, change(monitor, NOW, allowed_check_country_codes=None)) is not None


def test_poisonous_config_is_just_a_config() -> None:
    config = {"auth": {"_type_": "uuid_hex", "_data_": "x"}}
    kept = watched(HERE, new_monitor(config=config))

    assert kept is not None
    assert kept.config == config


def test_config_is_not_shown() -> None:
    kept = watched(HERE, new_monitor(config={"auth": {"user": "u", "pass": "sealed:v1:abc"}}))
    assert "sealed" not in repr(kept)


def test_equal_values_of_many_monitors_are_kept_once() -> None:
    fields: dict[str, Any] = {
        "check_interval": 7.25,
        "allowed_check_country_codes": ["DE", "US"],
        "config": {"requireTls": True},
    }
    one, other = (watched(HERE, new_monitor(**fields)) for _ in range(2))

    assert one is not None
    assert other is not None
    assert one.interval_seconds is other.interval_seconds
    assert one.country_codes is other.country_codes
    assert one.config_json is other.config_json


def test_its_own_location_is_retired_until_it_is_restored_and_others_do_not_matter() -> None:
    ours, other = (
        MonitoringLocation.register(1, code=code, name="A", country=None, actor=ME, now=NOW)
        for code in (HERE.code, "fi-hel")
    )
    registry = MonitorRegistry(HERE)

    def is_retired_after(place: MonitoringLocation) -> bool:
        for event in place.collect_events():
            assert registry.apply(event) == ()
        return registry.is_retired

    assert not is_retired_after(ours)
    other.retire(actor=ME, now=NOW)
    assert not is_retired_after(other)
    ours.retire(actor=ME, now=NOW)
    assert is_retired_after(ours)
    other.restore(actor=ME, now=NOW)
    assert is_retired_after(other)
    ours.restore(actor=ME, now=NOW)
    assert not is_retired_after(ours)
