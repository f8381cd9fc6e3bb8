"""Requests for a check or a login: recorded once, in streams of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from domain.commands import UpdateMonitor
from domain.errors import ConflictError, NotFoundError
from domain.monitor import Monitor
from domain.monitor_requests import REPEAT_SECONDS, CheckRequested, LoginRetryRequested
from store.log_reader import LogReader
from tests.domain.given import CREATE_IMAP, TESTER

if TYPE_CHECKING:
    from store.store import Store
    from tests.domain.given import Owners


LOGIN = {"user": "u", "password": "p"}


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 12, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def recorded(store: Store) -> list[CheckRequested | LoginRetryRequested]:
    events = [each.event for each in LogReader(store.monitoring).after(0, 1000)]
    return [each for each in events if isinstance(each, CheckRequested | LoginRetryRequested)]


def test_request_is_recorded_and_moves_no_version(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)

    request = store.monitoring.requests.check_now(monitor.id, TESTER)

    assert recorded(store) == [request]
    assert (request.monitor_id, request.actor) == (str(monitor.id), TESTER)
    assert store.monitoring.load(Monitor, monitor.id, "none").version == monitor.version
    store.monitoring.update_monitor(
        UpdateMonitor(monitor.id, {"name": "Other"}, expected_version=monitor.version), TESTER
    )


def test_repeated_request_is_the_same_until_some_seconds_have_passed(
    store: Store, owners: Owners
) -> None:
    clock = store.monitoring.clock = Clock()
    monitor = store.monitoring.create_monitor(owners.create(CREATE_IMAP, config=LOGIN), TESTER)
    requests = store.monitoring.requests

    first = requests.check_now(monitor.id, TESTER)
    clock.move(REPEAT_SECONDS - 1)
    assert requests.check_now(monitor.id, TESTER) == first
    # The other kind of request is on its own.
    login = requests.retry_login(monitor.id, TESTER)
    clock.move(1)
    second = requests.check_now(monitor.id, TESTER)
    assert requests.retry_login(monitor.id, TESTER) == login

    assert recorded(store) == [first, login, second]
    assert (first.originator_version, second.originator_version) == (1, 2)


def test_clock_that_was_far_ahead_blocks_no_request(store: Store, owners: Owners) -> None:
    clock = store.monitoring.clock = Clock()
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    store.monitoring.requests.check_now(monitor.id, TESTER)
    clock.move(-3600)

    store.monitoring.requests.check_now(monitor.id, TESTER)

    assert len(recorded(store)) == 2


def test_disabled_monitor_takes_a_request(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(status="disabled"), TESTER)

    store.monitoring.requests.check_now(monitor.id, TESTER)

    assert len(recorded(store)) == 1


def test_missing_and_deleted_monitors_are_not_found(store: Store, owners: Owners) -> None:
    monitor = store.monitoring.create_monitor(owners.create(CREATE_IMAP, config=LOGIN), TESTER)
    store.monitoring.delete_monitor(monitor.id, TESTER)
    requests = store.monitoring.requests

    for ask in (requests.check_now, requests.retry_login):
        for missing in (monitor.id, UUID(int=1), owners.customer.id):
            with pytest.raises(NotFoundError):
                ask(missing, TESTER)

    assert recorded(store) == []


@pytest.mark.parametrize("config", [{}, {"user": "u"}, {"password": "p"}])
def test_monitor_without_a_login_has_none_to_retry(
    store: Store, owners: Owners, config: dict[str, str]
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(CREATE_IMAP, config=config), TESTER)

    with pytest.raises(ConflictError, match="no login"):
        store.monitoring.requests.retry_login(monitor.id, TESTER)
