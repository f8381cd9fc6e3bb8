"""From a command in the one log to a check in the other."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import trio

from tests.checker_loop.whole_run import FakeProbe, running_checker, until

if TYPE_CHECKING:
    from domain.check import CheckPerformed
    from domain.store import Store
    from tests.checker_loop.monitors import Owner


async def test_new_monitor_is_checked_within_a_second(store: Store, owner: Owner) -> None:
    async with running_checker(store, FakeProbe()) as checker:
        monitor = owner.create(hostname="new.example.org")
        with trio.fail_after(1):
            (check,) = await checker.wait_for_checks(1)

    assert UUID(check.monitor_id) == monitor.id
    assert check.monitor_version == 1
    assert check.kind == "smtp"
    assert check.location == "de-nbg"
    assert check.actor == {"type": "checker", "id": "de-nbg"}
    assert check.outcome["verdict"] == "up"
    assert check.due_at <= check.started_at
    assert datetime.fromisoformat(check.started_at) <= check.timestamp


async def test_changed_monitor_is_checked_at_once_in_its_new_version(
    store: Store, owner: Owner
) -> None:
    probe = FakeProbe()
    async with running_checker(store, probe) as checker:
        monitor = owner.create(hostname="old.example.org")
        await checker.wait_for_checks(1)
        owner.update(monitor, hostname="new.example.org", port=2525)
        with trio.fail_after(1):
            checks = await checker.wait_for_checks(2)

    assert [check.monitor_version for check in checks] == [1, 2]
    assert [(each.hostname, each.port) for each in probe.targets] == [
        ("old.example.org", 25),
        ("new.example.org", 2525),
    ]


async def test_disabled_monitor_is_not_checked_until_it_is_active_again(
    store: Store, owner: Owner
) -> None:
    async with running_checker(store, FakeProbe()) as checker:
        monitor = owner.create(check_interval=0.1)
        await checker.wait_for_checks(1)
        owner.update(monitor, status="disabled")
        await until(lambda: checker.status.watched == 0)
        before = len(checker.recorded())
        owner.create(name="another one, that proves that the checker goes on")
        await checker.wait_for_checks(before + 1)
        owner.update(monitor, status="active")
        checks = await checker.wait_for_checks(before + 2)

    versions = [check.monitor_version for check in of_monitor(checks, monitor.id)]
    assert versions[-1] == 3
    assert 2 not in versions


async def test_deleted_monitor_is_not_checked_any_more(store: Store, owner: Owner) -> None:
    async with running_checker(store, FakeProbe()) as checker:
        monitor = owner.create()
        await checker.wait_for_checks(1)
        owner.delete(monitor)
        await until(lambda: checker.status.monitors == 0)
        assert checker.status.watched == 0


def of_monitor(checks: list[CheckPerformed], monitor_id: UUID) -> list[CheckPerformed]:
    """Return the checks of one monitor."""
    return [check for check in checks if UUID(check.monitor_id) == monitor_id]
