"""From a command in the `monitoring` log to a check in the `checks` log."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from datetime import datetime
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import trio
import trio.testing

from checker.run import run_checker
from checker.runtime.limits import Limits
from checker.runtime.location import Location
from checker.runtime.loop_lag import TOLERATED_LAG_SECONDS, LoopLagMeter
from checker.runtime.metrics import CheckerMetrics
from domain.check import Category, Outcome, Phase, Verdict
from tests.checker.monitors import HERE, UP, Owner
from tests.checker.whole_run import FakeProbe, running_checker, until

if TYPE_CHECKING:
    from domain.check import CheckPerformed
    from mail.guard import ProbeGuard
    from mail.protocols.target import ProbeTarget
    from store.store import Store


async def test_new_monitor_is_checked_at_once(store: Store, owner: Owner) -> None:
    async with running_checker(store, FakeProbe()) as checker:
        monitor = owner.create(hostname="new.example.org")
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
        await until(lambda: checker.metrics.watched == 0)
        before = len(checker.recorded())
        owner.create(name="another one, that proves that the checker goes on")
        await checker.wait_for_checks(before + 1)
        owner.update(monitor, status="active")
        await checker.wait_for_checks(1, lambda check: check.monitor_version == 3)

    assert 2 not in {check.monitor_version for check in of_monitor(checker.recorded(), monitor.id)}


async def test_deleted_monitor_is_not_checked_any_more(store: Store, owner: Owner) -> None:
    async with running_checker(store, FakeProbe()) as checker:
        monitor = owner.create()
        await checker.wait_for_checks(1)
        owner.delete(monitor)
        await until(lambda: checker.metrics.monitors == 0)
        assert checker.metrics.watched == 0


def of_monitor(checks: list[CheckPerformed], monitor_id: UUID) -> list[CheckPerformed]:
    """Return the checks of one monitor."""
    return [check for check in checks if UUID(check.monitor_id) == monitor_id]


async def test_drain_lets_running_probes_finish_and_records_them(
    store: Store, owner: Owner
) -> None:
    probe = FakeProbe()
    async with running_checker(store, probe) as checker:
        probe.gate = trio.Event()
        for number in range(20):
            owner.create(hostname=f"mail{number}.example.org")
        await until(lambda: len(probe.targets) == 20)
        checker.stop.set()
        owner.create(name="comes too late")
        await trio.testing.wait_all_tasks_blocked()
        probe.gate.set()

    assert len(checker.recorded()) == 20
    assert checker.metrics.not_made == 0


async def test_drain_interrupts_probes_that_take_too_long(
    store: Store, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    probe = FakeProbe()
    async with running_checker(store, probe, limits=Limits(grace_seconds=0.1)) as checker:
        owner.create()
        await checker.wait_for_checks(1)
        probe.gate = trio.Event()
        for _ in range(3):
            owner.create()
        await until(lambda: len(probe.targets) == 4)

    assert len(checker.recorded()) == 1
    assert checker.metrics.not_made == 3
    assert caplog.messages[-1] == "3 checks were interrupted and are not recorded"


async def test_bug_in_a_probe_raises_and_other_results_are_kept(store: Store, owner: Owner) -> None:
    async def buggy(target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
        if target.hostname == "bug":
            raise ZeroDivisionError
        return UP

    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with running_checker(store, buggy, limits=Limits(linger_seconds=1)) as checker:
            owner.create()
            await until(lambda: bool(checker.metrics.checks))
            owner.create(hostname="bug")
            await trio.sleep_forever()
    assert len(checker.recorded()) == 1


async def test_signal_drains_and_a_second_one_interrupts(store: Store, owner: Owner) -> None:
    probe = FakeProbe()
    probe.gate = trio.Event()
    metrics = CheckerMetrics()
    owner.create(check_interval=0.1)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(run_checker, store, probe, location=HERE, metrics=metrics))
            await until(lambda: metrics.in_flight == 1)
            signal.raise_signal(signal.SIGTERM)
            await until(lambda: metrics.stopping)
            signal.raise_signal(signal.SIGTERM)
    assert metrics.not_made == 1


async def test_second_start_continues_where_the_first_one_ended(store: Store, owner: Owner) -> None:
    monitors = [owner.create() for _ in range(20)]
    async with running_checker(store, FakeProbe()) as first:
        for monitor in monitors:
            owner.update(monitor, port=2525)
        await first.wait_for_checks(20, lambda check: check.monitor_version == 2)
        before = len(first.recorded())
    async with running_checker(store, FakeProbe()) as second:
        # A monitor that is due at once is the proof that the schedule runs.
        new = owner.create()
        await second.wait_for_checks(1, lambda check: UUID(check.monitor_id) == new.id)
        assert second.metrics.watched == 21
        assert len(second.recorded()) == before + 1


async def test_monitor_that_was_created_or_changed_while_no_checker_ran_is_checked_at_once(
    store: Store, owner: Owner
) -> None:
    kept, changed = (owner.create() for _ in range(2))
    async with running_checker(store, FakeProbe()) as first:
        await first.wait_for_checks(2)
    owner.update(changed, port=2525)
    created = owner.create()
    async with running_checker(store, FakeProbe()) as second:
        checks = await second.wait_for_checks(4)

    assert {(UUID(each.monitor_id), each.monitor_version) for each in checks[2:]} == {
        (changed.id, 2),
        (created.id, 1),
    }
    assert len(of_monitor(checks, kept.id)) == 1


async def test_backoff_of_a_refused_login_survives_a_restart(store: Store, owner: Owner) -> None:
    here = "192.0.2.1"
    refused = Outcome(Verdict.DOWN, Category.AUTH_FAILED, Phase.AUTH, "no", {}, here)
    logins: list[bool] = []

    async def refuse(target: ProbeTarget, guard: ProbeGuard, *_: object) -> Outcome:
        assert target.credentials is not None
        logins.append(guard.may_log_in(ip_address(here)))
        return refused if logins[-1] else replace(UP, address=here)

    owner.create(check_interval=0.01, config={"auth": {"user": "u", "pass": "wrong"}})
    async with running_checker(store, refuse) as first:
        await first.wait_for_checks(1)
    # On a slow machine the first run may get a second free try before it ends.
    before = len(logins)
    async with running_checker(store, refuse) as second:
        checks = await second.wait_for_checks(before + 1)

    assert logins[0]
    assert not logins[before]
    assert {each.outcome["category"] for each in checks} == {"auth_failed"}


async def test_unreadable_secret_is_recorded_and_the_checker_goes_on(
    store: Store, owner: Owner
) -> None:
    async with running_checker(store, FakeProbe()) as checker:
        monitor = owner.create(
            status="disabled", kind="imap_pop", config={"user": "u", "password": "hidden"}
        )
        store.keys.destroy(monitor.id)
        owner.update(monitor, status="active")
        (check,) = await checker.wait_for_checks(1)
        owner.create()
        await checker.wait_for_checks(2)

    assert check.outcome["verdict"] == "down"
    assert check.outcome["category"] == "secret_unreadable"


async def test_start_line_says_what_is_watched_and_no_secret_is_logged(
    store: Store, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    owner.create(config={"auth": {"user": "u", "pass": "very-secret"}})
    owner.create(status="disabled")
    async with running_checker(store, FakeProbe(), policy="public addresses only"):
        pass

    assert any(
        "location de-nbg (Nuremberg, DE), position" in line
        and "1 of 2 monitors, policy public addresses only" in line
        for line in caplog.messages
    )
    assert "very-secret" not in caplog.text


async def test_checks_under_lag_say_so(store: Store, owner: Owner) -> None:
    async def lagging(target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
        del target
        threading.Event().wait(3 * TOLERATED_LAG_SECONDS)  # the loop is held up
        return UP

    async with running_checker(store, lagging) as checker:
        owner.create()
        (check,) = await checker.wait_for_checks(1)

    (warning,) = check.outcome["warnings"]
    assert warning["code"] == "checker_lag"
    assert checker.metrics.lagged == 1


def test_loop_that_wakes_in_time_has_no_lag() -> None:
    now = [100.0]
    lag_meter = LoopLagMeter(lambda: now[0])
    lag_meter.before_io_wait(5)
    now[0] += 5
    lag_meter.after_io_wait(5)
    now[0] += TOLERATED_LAG_SECONDS
    assert lag_meter.lag_since(100, now[0]) == 0

    now[0] += 0.01
    assert lag_meter.lag_since(100, now[0]) > TOLERATED_LAG_SECONDS


async def test_monitor_is_checked_from_every_location_that_its_countries_allow(
    store: Store, owner: Owner
) -> None:
    there = Location("fr-par", "Paris", "FR")
    anywhere = owner.create()
    here = owner.create(allowed_check_country_codes=["DE"])
    both = owner.create(allowed_check_country_codes=["DE", "FR"])
    nowhere = owner.create(allowed_check_country_codes=["US"])
    french = Owner(store, allowed_check_country_codes=["FR"])
    theirs = french.create()
    own = french.create(allowed_check_country_codes=["DE"])
    async with (
        running_checker(store, FakeProbe()) as one,
        running_checker(store, FakeProbe(), location=there) as other,
    ):
        checks = await one.wait_for_checks(7)
        assert (one.metrics.watched, other.metrics.watched) == (4, 3)

    found = {(UUID(each.monitor_id), each.location) for each in checks}
    assert found == {
        *((each.id, HERE.code) for each in (anywhere, here, both, own)),
        *((each.id, there.code) for each in (anywhere, both, theirs)),
    }
    assert nowhere.id not in {monitor_id for monitor_id, _ in found}
