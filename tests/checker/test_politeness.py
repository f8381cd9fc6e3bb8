"""No server is flooded, none bans the checker, and no other monitor waits for it. Virtual time."""

from __future__ import annotations

import errno
import logging
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
import trio

from checker.loop.login_backoff import FIRST_SECONDS, LONGEST_SECONDS
from domain.check import Category, Outcome, Phase, Verdict
from domain.clock import iso_milliseconds
from mail.guard import AddressBusyError
from tests.checker.monitors import NOW, UP, ids
from tests.checker.virtual import VirtualChecker, change, grid, new_monitor, resting_monitors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from checker.loop.check import Probe
    from domain.monitor import Monitor
    from mail.guard import ProbeGuard
    from mail.protocols.target import ProbeTarget


REFUSED = Outcome(Verdict.DOWN, Category.AUTH_FAILED, Phase.AUTH, "refused", {"total": 1.0})
TIMEOUT = Outcome(Verdict.DOWN, Category.TIMEOUT, Phase.GREETING, "silent", {"total": 30000.0})
LOGIN = {"auth": {"user": "u", "pass": "p"}}


class Busy:
    """Servers that take a second, at an address of their own; counts who is where."""

    def __init__(self, addresses: dict[str, str] | None = None) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.hanging: frozenset[str] = frozenset()
        """Names of servers that never answer."""
        self._addresses = addresses or {}

    async def __call__(self, target: ProbeTarget, guard: ProbeGuard, *_: object) -> Outcome:
        name = target.hostname
        text = self._addresses.setdefault(name, f"192.0.2.{100 + len(self._addresses)}")
        address = ip_address(text)
        if not guard.may_connect(address):
            raise AddressBusyError(address)
        self.now[text] += 1
        self.most[text] = max(self.most[text], self.now[text])
        try:
            await trio.sleep(target.timeout_seconds if name in self.hanging else 1)
        finally:
            self.now[text] -= 1
            guard.disconnected(address)
        return replace(TIMEOUT if name in self.hanging else UP, address=text)


async def play(
    clock: MockClock, probe: Probe, monitors: list[Monitor], seconds: float
) -> VirtualChecker:
    """Check for so long."""
    async with playing(clock, probe, monitors) as checker:
        await trio.sleep(seconds)
    return checker


@asynccontextmanager
async def playing(
    clock: MockClock, probe: Probe, monitors: list[Monitor]
) -> AsyncIterator[VirtualChecker]:
    """Check for as long as the block takes."""
    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(clock, probe)
        checker.feed()
        await nursery.start(checker.run)
        checker.feed(*monitors)
        yield checker
        nursery.cancel_scope.cancel()


async def test_one_server_sees_few_checks_at_a_time_and_all_of_them_in_turn(
    autojump_clock: MockClock,
) -> None:
    servers = Busy({"192.0.2.1": "192.0.2.1"})
    monitors = resting_monitors(*["192.0.2.1"] * 95)
    async with playing(autojump_clock, servers, monitors) as checker:
        await trio.sleep(30)
        # Not one of them was known to be quick.
        assert servers.most == {"192.0.2.1": 5}
        assert len(checker.results.checks) == 95
        order = [check.monitor_id for check in checker.results.checks]
        assert set(order[:5]) == {each.id for each in monitors[:5]}
        assert (checker.metrics.held_back, checker.metrics.waiting) == (90, 0)


async def test_customer_leaves_places_to_others(autojump_clock: MockClock) -> None:
    servers = Busy({"one": "192.0.2.1"})
    owners = ids(3)
    monitors = [
        new_monitor(each, hostname="one", check_interval=0.5, owner=owner)
        for each, owner in zip(
            ids(42), [(owners[0], owners[0])] * 40 + [(owners[1], owners[1])] * 2, strict=True
        )
    ]
    async with playing(autojump_clock, servers, monitors) as checker:
        await trio.sleep(60)
        servers.most.clear()
        checker.results.checks.clear()
        for each in monitors[:40]:
            checker.schedule.check_now(each.id, 30, trio.current_time())
        checker.wake_up.wake()
        await trio.sleep(0.5)
        assert servers.now == {"192.0.2.1": 7}
        for each in monitors[40:]:
            checker.schedule.check_now(each.id, 30, trio.current_time())
        checker.wake_up.wake()
        await trio.sleep(0.4)
        assert servers.now == {"192.0.2.1": 8}


@pytest.mark.parametrize("is_other_customer_only", [False, True])
async def test_healthy_monitor_is_checked_at_every_due_time_beside_60_hanging_ones_of_others(
    autojump_clock: MockClock, *, is_other_customer_only: bool
) -> None:
    servers = Busy(dict.fromkeys(["good", "bad"], "192.0.2.1"))
    servers.hanging = frozenset({"bad"})
    ours, theirs, customer = ids(3)
    others = (ours if is_other_customer_only else theirs, customer)
    healthy = new_monitor(ids(61)[-1], hostname="good", check_interval=0.5, owner=(ours, ours))
    hanging = [
        new_monitor(each, hostname="bad", check_interval=0.5, owner=others) for each in ids(60)
    ]
    async with playing(autojump_clock, servers, hanging) as checker:
        await trio.sleep(20)
        checker.feed(healthy)
        await trio.sleep(3600)
        assert servers.most["192.0.2.1"] <= 10
        begun = {
            each.due_at: each.started_at
            for each in checker.results.checks
            if each.monitor_id == healthy.id
        }
        expected = [iso_milliseconds(each) for each in grid(healthy, 30, NOW, checker.wall())]
        assert [each for each in expected[2:] if each not in begun] == []
        late = [
            datetime.fromisoformat(started) - datetime.fromisoformat(due)
            for due, started in begun.items()
        ]
        assert max(late[1:]) < timedelta(seconds=0.1)
        # The hanging ones get their turn, too.
        checked = {check.monitor_id for check in checker.results.checks[-100:]}
        assert len(checked & {each.id for each in hanging}) > 10


async def test_others_do_not_wait_for_a_server_that_many_wait_for(
    autojump_clock: MockClock,
) -> None:
    names = ["one"] * 600 + [f"other{each}" for each in range(50)]
    monitors = [
        new_monitor(each, hostname=name, check_interval=1)
        for each, name in zip(ids(650), names, strict=True)
    ]
    checker = await play(autojump_clock, Busy(), monitors, 600)

    # Without those that wait for their server, the first checks of so many take a moment.
    late = [
        check.started_at
        for check in checker.results.checks
        if check.monitor_id in {each.id for each in monitors[600:]}
    ]
    assert len(late) == pytest.approx(50 * 11, abs=50)
    assert checker.metrics.waiting > 100
    assert checker.schedule.skipped == 0


async def test_names_of_one_address_share_its_limit(autojump_clock: MockClock) -> None:
    names = [f"name{number}" for number in range(40)]
    servers = Busy(dict.fromkeys(names, "192.0.2.1"))
    # Their first check shows where the names lead to, so it is made one by one.
    async with playing(autojump_clock, servers, []) as checker:
        monitors = resting_monitors(*names)
        for each in monitors:
            checker.feed(each)
            await trio.sleep(2)
        assert servers.most["192.0.2.1"] == 1
        checker.feed(*(change(each, checker.wall(), port=2525) for each in monitors))
        await trio.sleep(10)

    assert servers.most["192.0.2.1"] == 5
    assert len(checker.results.checks) == 80


async def test_80_unknown_names_of_one_address_share_its_limit(autojump_clock: MockClock) -> None:
    names = [f"name{number}" for number in range(80)]
    servers = Busy(dict.fromkeys(names, "192.0.2.1"))
    async with playing(autojump_clock, servers, resting_monitors(*names)) as checker:
        await trio.sleep(30)
        assert servers.most["192.0.2.1"] == 5
        assert len(checker.results.checks) == 80
        assert checker.metrics.waiting == checker.metrics.in_flight == 0


async def test_monitor_that_is_deleted_while_it_waits_is_not_checked(
    autojump_clock: MockClock,
) -> None:
    monitors = resting_monitors(*["192.0.2.1"] * 30)
    async with playing(autojump_clock, Busy({"192.0.2.1": "192.0.2.1"}), monitors) as checker:
        await trio.sleep(0.5)
        for each in monitors[5:]:
            each.delete(actor={"type": "operator", "id": "tester"}, now=checker.wall())
        checker.feed(*monitors[5:])
        await trio.sleep(10)

    assert len(checker.results.checks) == 5
    assert len(checker.schedule) == 5


class GuardedServer:
    """A server that refuses the password until `refuses` is False; notes the times of logins."""

    def __init__(self) -> None:
        self.logins: list[float] = []
        self.refuses = True
        self.address = "192.0.2.1"

    async def __call__(self, target: ProbeTarget, guard: ProbeGuard, *_: object) -> Outcome:
        if target.credentials is None or not guard.may_log_in(ip_address(self.address)):
            return replace(UP, address=self.address)
        self.logins.append(trio.current_time())
        return replace(REFUSED if self.refuses else UP, address=self.address)

    def distances(self) -> list[float]:
        return [
            later - earlier for earlier, later in zip(self.logins, self.logins[1:], strict=False)
        ]


async def checked_with_login(
    clock: MockClock, server: GuardedServer, seconds: float
) -> VirtualChecker:
    monitor = new_monitor(check_interval=1, config=LOGIN)
    checker = await play(clock, server, [monitor], seconds)
    assert len(checker.results.checks) == pytest.approx(seconds / 60, abs=2)
    return checker


async def test_refused_logins_are_tried_at_growing_intervals_up_to_a_cap(
    autojump_clock: MockClock,
) -> None:
    server = GuardedServer()
    checker = await checked_with_login(autojump_clock, server, 4 * 3600)

    assert max(server.distances()) <= LONGEST_SECONDS + 60
    assert server.distances()[2] == pytest.approx(FIRST_SECONDS, abs=60)
    assert server.distances()[-1] == pytest.approx(LONGEST_SECONDS, abs=60)
    in_ten_minutes = max(
        sum(begin <= each < begin + 600 for each in server.logins) for begin in server.logins
    )
    assert in_ten_minutes <= 4
    outcomes = [check.outcome for check in checker.results.checks]
    assert {(each["verdict"], each["category"]) for each in outcomes} == {("down", "auth_failed")}
    left_out = [each for each in outcomes if each["warnings"]]
    assert len(left_out) == len(outcomes) - len(server.logins)
    assert left_out[0]["warnings"][0]["code"] == "login_postponed"
    assert "works up to the login" in left_out[0]["message"]


async def test_recovery_is_noticed_within_the_cap_and_a_new_failure_starts_anew(
    autojump_clock: MockClock,
) -> None:
    server = GuardedServer()
    async with playing(
        autojump_clock, server, [new_monitor(check_interval=1, config=LOGIN)]
    ) as checker:
        await trio.sleep(7200)
        server.refuses = False
        mended = checker.wall()
        await trio.sleep(3600)
        seen = next(each for each in checker.results.checks if each.outcome["verdict"] == "up")
        assert seen.finished_at - mended <= timedelta(seconds=LONGEST_SECONDS + 60)
        server.logins.clear()
        server.refuses = True
        await trio.sleep(170)
        assert len(server.logins) >= 2


async def test_changed_monitor_logs_in_at_once(autojump_clock: MockClock) -> None:
    server = GuardedServer()
    monitor = new_monitor(check_interval=1, config=LOGIN)
    async with playing(autojump_clock, server, [monitor]) as checker:
        await trio.sleep(3600)
        server.logins.clear()
        checker.feed(
            change(monitor, checker.wall(), config={"auth": {"user": "u", "pass": "another"}})
        )
        await trio.sleep(1)
        assert len(server.logins) == 1


async def test_outage_is_seen_while_logins_are_left_out(autojump_clock: MockClock) -> None:
    timeout = Outcome(Verdict.DOWN, Category.TIMEOUT, Phase.CONNECT, "silent", {})
    server = GuardedServer()
    is_out = False

    async def ask(target: ProbeTarget, guard: ProbeGuard, *_: object) -> Outcome:
        return timeout if is_out else await server(target, guard)

    async with playing(
        autojump_clock, ask, [new_monitor(check_interval=1, config=LOGIN)]
    ) as checker:
        await trio.sleep(250)
        is_out = True
        await trio.sleep(60)

    last = checker.results.checks[-1].outcome
    assert last["category"] == "timeout"
    assert last["warnings"] == []


@pytest.mark.parametrize(
    "lack",
    [
        OSError(errno.EMFILE, "Too many open files"),
        ExceptionGroup("attempts", [OSError(errno.ENOBUFS, "No buffer space available")]),
    ],
)
async def test_lack_of_sockets_pauses_checks_and_none_is_lost(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, lack: Exception
) -> None:
    lacks = True

    async def probe(target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
        del target
        if lacks:
            raise lack
        return UP

    monitors = resting_monitors(*(f"m{each}" for each in range(50)))
    async with playing(autojump_clock, probe, monitors) as checker:
        await trio.sleep(5.5)
        assert checker.results.checks == []
        # A handful is tried after each pause.
        assert checker.metrics.exhausted <= 6 * 10
        lacks = False
        await trio.sleep(2)

    assert {check.monitor_id for check in checker.results.checks} == {each.id for each in monitors}
    errors = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].startswith("checks pause, because this process lacks")


async def test_other_errors_of_the_system_are_bugs(autojump_clock: MockClock) -> None:
    async def probe(target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
        raise OSError(errno.ENOENT, target.hostname)

    with pytest.RaisesGroup(OSError, flatten_subgroups=True):
        await play(autojump_clock, probe, [new_monitor()], 1)
