"""The backoff of refused logins: pure, and with monitors of several kinds in virtual time."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
import trio

from checker.loop.login_backoff import (
    FIRST_SECONDS,
    LONGEST_SECONDS,
    TRY_SECONDS,
    UNCLEAR_SECONDS,
    Login,
    LoginBackoff,
    Postponed,
    with_login_postponed,
)
from checker.loop.monitor_registry import MonitorRegistry, ScheduledMonitor
from domain.check import Category, LoginFacts, Outcome, Phase, Verdict
from domain.monitor_requests import LoginRetryRequested, requests_id
from tests.checker.monitors import CUSTOMER_ID, HERE, ME, ORGANIZATION_ID, UP, ids
from tests.checker.virtual import VirtualChecker, change, new_monitor

if TYPE_CHECKING:
    from uuid import UUID

    from trio.testing import MockClock

    from mail.guard import ProbeGuard
    from mail.protocols.target import ProbeTarget


SENT = LoginFacts(secret_was_sent=True)
REFUSED = Outcome(
    Verdict.DOWN,
    Category.AUTH_FAILED,
    Phase.AUTH,
    "the server refuses the login",
    {"total": 1.0},
    server_reply="535 5.7.8 Authentication failed",
    login=SENT,
)
UNCLEAR = replace(REFUSED, server_reply="NO no", login=replace(SENT, is_known_refusal=False))
LOGIN = Login("customer", "192.0.2.1", "u")
WALL = "2026-12-01T12:00:00.000Z"


def watched(monitor_id: UUID, kind: str = "smtp", port: int = 25) -> ScheduledMonitor:
    registry = MonitorRegistry(HERE)
    for event in new_monitor(monitor_id, kind=kind, port=port).collect_events():
        registry.apply(event)
    found = registry.find(monitor_id)
    assert found is not None
    return found


ONE, TWO, THREE = (
    watched(each, kind, port)
    for each, kind, port in zip(
        ids(3), ("smtp", "imap_pop", "imap_pop"), (25, 143, 110), strict=True
    )
)


def refuse(backoff: LoginBackoff, *monitors: ScheduledMonitor, now: float = 0.0) -> None:
    for each in monitors:
        assert backoff.begin(each, LOGIN, now) is None
        backoff.note(each, LOGIN, REFUSED, now, WALL)


def test_refusals_of_all_monitors_of_a_login_count_together() -> None:
    backoff = LoginBackoff()
    refuse(backoff, ONE, TWO, THREE)

    for each in (ONE, TWO, THREE):
        postponed = backoff.begin(each, LOGIN, 10.0)
        assert postponed == Postponed(FIRST_SECONDS - 10, WALL, REFUSED.message)
    # One of them tries, and the others wait for what comes of it.
    assert backoff.begin(TWO, LOGIN, FIRST_SECONDS) is None
    assert backoff.begin(ONE, LOGIN, FIRST_SECONDS + 2) is not None
    backoff.note(TWO, LOGIN, REFUSED, FIRST_SECONDS + 1, WALL)
    postponed = backoff.begin(THREE, LOGIN, FIRST_SECONDS + TRY_SECONDS + 1)
    assert postponed is not None
    assert postponed.wait_seconds == 2 * FIRST_SECONDS - TRY_SECONDS


def test_success_of_one_that_was_refused_lets_all_others_try() -> None:
    backoff = LoginBackoff()
    refuse(backoff, ONE, TWO, THREE)

    assert backoff.begin(ONE, LOGIN, FIRST_SECONDS) is None
    backoff.note(ONE, LOGIN, UP, FIRST_SECONDS, WALL)

    assert backoff.begin(TWO, LOGIN, FIRST_SECONDS) is None
    assert backoff.begin(THREE, LOGIN, FIRST_SECONDS) is None


def test_right_password_of_another_monitor_is_tried_and_ends_nothing() -> None:
    backoff = LoginBackoff()
    for now in range(3):
        refuse(backoff, ONE, now=now)

    assert backoff.begin(TWO, LOGIN, 5.0) is None
    backoff.note(TWO, LOGIN, UP, 5.0, WALL)

    assert backoff.begin(TWO, LOGIN, 6.0) is None
    assert backoff.begin(ONE, LOGIN, 6.0) is not None


@pytest.mark.parametrize(
    "other",
    [
        Login("other", "192.0.2.1", "u"),
        Login("customer", "192.0.2.2", "u"),
        LOGIN._replace(user="v"),
    ],
)
def test_other_customers_addresses_and_users_are_on_their_own(other: Login) -> None:
    backoff = LoginBackoff()
    refuse(backoff, ONE, TWO, THREE)

    assert backoff.begin(ONE, other, 5.0) is None


@pytest.mark.parametrize(
    ("category", "phase", "counts"),
    [
        (Category.AUTH_FAILED, Phase.AUTH, True),
        (Category.CONNECTION_CLOSED, Phase.AUTH, True),
        (Category.CONNECTION_RESET, Phase.AUTH, True),
        (Category.SERVICE_UNAVAILABLE, Phase.AUTH, True),
        (Category.TIMEOUT, Phase.AUTH, False),
        (Category.AUTH_TEMPORARY, Phase.AUTH, False),
        (Category.RATE_LIMITED, Phase.AUTH, False),
        (Category.CONNECTION_CLOSED, Phase.GREETING, False),
        (Category.SERVICE_UNAVAILABLE, Phase.SERVICE, False),
    ],
)
def test_every_end_in_place_of_a_verdict_counts(
    category: Category, phase: Phase, *, counts: bool
) -> None:
    backoff = LoginBackoff()
    for now in range(3):
        backoff.note(ONE, LOGIN, replace(REFUSED, category=category, phase=phase), now, WALL)

    assert (backoff.begin(ONE, LOGIN, 5.0) is not None) is counts


def test_end_of_a_connection_before_a_secret_was_sent_does_not_count() -> None:
    backoff = LoginBackoff()
    closed = replace(REFUSED, category=Category.CONNECTION_CLOSED, login=LoginFacts())
    for now in range(5):
        backoff.note(ONE, LOGIN, closed, now, WALL)

    assert backoff.begin(ONE, LOGIN, 5.0) is None


@pytest.mark.parametrize(
    ("category", "phase", "ends"),
    [
        (Category.AUTH_TEMPORARY, Phase.AUTH, True),
        (Category.AUTH_UNAVAILABLE, Phase.AUTH, True),
        (Category.MAILBOX_UNAVAILABLE, Phase.MAILBOX, True),
        (Category.SERVICE_UNAVAILABLE, Phase.SERVICE, True),
        (Category.RATE_LIMITED, Phase.AUTH, False),
        (Category.TIMEOUT, Phase.AUTH, False),
        (Category.CONNECT_REFUSED, Phase.CONNECT, False),
        (Category.STARTTLS_UNAVAILABLE, Phase.STARTTLS, False),
    ],
)
def test_other_answer_to_a_login_ends_the_backoff(
    category: Category, phase: Phase, *, ends: bool
) -> None:
    backoff = LoginBackoff()
    refuse(backoff, ONE, TWO, THREE)

    assert backoff.begin(ONE, LOGIN, FIRST_SECONDS) is None
    answer = replace(REFUSED, category=category, phase=phase)
    backoff.note(ONE, LOGIN, answer, FIRST_SECONDS, WALL)

    assert (backoff.begin(TWO, LOGIN, FIRST_SECONDS + 1) is None) is ends


def test_words_that_could_mean_anything_postpone_after_two_minutes() -> None:
    backoff = LoginBackoff()
    for now in range(0, int(UNCLEAR_SECONDS), 20):
        assert backoff.begin(ONE, LOGIN, now) is None
        backoff.note(ONE, LOGIN, UNCLEAR, now, WALL)

    assert backoff.begin(ONE, LOGIN, UNCLEAR_SECONDS) is None
    backoff.note(ONE, LOGIN, UNCLEAR, UNCLEAR_SECONDS, WALL)

    assert backoff.begin(ONE, LOGIN, UNCLEAR_SECONDS + 2) is not None


def test_other_words_begin_the_count_anew_and_ids_are_no_words() -> None:
    backoff = LoginBackoff()

    def say(reply: str, now: float) -> None:
        backoff.note(ONE, LOGIN, replace(UNCLEAR, server_reply=reply), now, WALL)

    for now, session in ((0, "ab12"), (60, "cd34"), (130, "ef56")):
        say(f"NO no [{session}]", now)
    assert backoff.begin(ONE, LOGIN, 131) is not None
    say("NO something else", 430)
    assert backoff.begin(ONE, LOGIN, 431) is None
    # Words in turn are no news each time.
    for now, reply in ((500, "NO no"), (560, "NO something else"), (620, "NO no")):
        say(reply, now)
    assert backoff.begin(ONE, LOGIN, 621) is not None


def test_changed_monitor_tries_and_its_siblings_wait() -> None:
    backoff = LoginBackoff()
    refuse(backoff, ONE, TWO, THREE)

    backoff.forget(ONE.monitor_id)

    assert backoff.begin(replace(ONE, version=2), LOGIN, 5.0) is None
    assert backoff.begin(TWO, LOGIN, 5.0) is not None
    for each in (TWO, THREE):
        backoff.forget(each.monitor_id)
    assert not backoff._refusals
    assert not backoff._logins


def test_people_can_end_it_for_all_monitors_of_a_user() -> None:
    backoff = LoginBackoff()
    refuse(backoff, ONE, TWO, THREE)

    backoff.retry("other", "u")
    backoff.retry("customer", "v")
    assert backoff.begin(ONE, LOGIN, 5.0) is not None
    backoff.retry("customer", "u")

    assert all(backoff.begin(each, LOGIN, 5.0) is None for each in (ONE, TWO, THREE))


def test_restart_keeps_it() -> None:
    backoff = LoginBackoff()
    backoff.restore(ONE, LOGIN, 100.0, tried_at=WALL, message="refused")

    assert backoff.begin(ONE, LOGIN, 130.0) == Postponed(FIRST_SECONDS - 30, WALL, "refused")


def test_outcome_says_since_when_and_what_the_last_try_brought() -> None:
    shown = with_login_postponed(UP, Postponed(10, WALL, "the server refuses the login"), "LATER")
    assert (shown.verdict, shown.category, shown.phase) == (
        Verdict.DOWN,
        Category.AUTH_FAILED,
        Phase.AUTH,
    )
    assert shown.message.endswith(f"failed the last time at {WALL}: the server refuses the login")
    assert "from LATER on" in shown.warnings[0].message
    again = with_login_postponed(UP, Postponed(10, None, ""), "LATER")
    assert again.message.endswith("which failed the last time before a restart")


class Mailbox:
    """SMTP, IMAP and POP3 of one mailbox; refuses its password until `refuses` is False."""

    def __init__(self) -> None:
        self.logins: list[float] = []
        self.refuses = True

    async def __call__(self, target: ProbeTarget, guard: ProbeGuard, *_: object) -> Outcome:
        if not target.credentials or not guard.may_log_in(ip_address("192.0.2.1")):
            return replace(UP, address="192.0.2.1")
        self.logins.append(trio.current_time())
        return replace(REFUSED if self.refuses else UP, address="192.0.2.1")


async def test_three_kinds_of_one_mailbox_share_the_distance(autojump_clock: MockClock) -> None:
    secrets = (
        ("smtp", {"auth": {"user": "u", "pass": "p"}}),
        ("imap_pop", {"protocol": "imap", "user": "u", "password": "p"}),
        ("imap_pop", {"protocol": "pop3", "user": "u", "password": "p"}),
    )
    monitors = [
        new_monitor(
            each, kind=kind, config=config, check_interval=1, owner=(ORGANIZATION_ID, CUSTOMER_ID)
        )
        for each, (kind, config) in zip(ids(3), secrets, strict=True)
    ]
    mailbox = Mailbox()
    async with trio.open_nursery() as nursery:
        checker = VirtualChecker(autojump_clock, mailbox)
        checker.feed()
        await nursery.start(checker.run)
        checker.feed(*monitors)
        await trio.sleep(4 * 3600)
        in_ten_minutes = max(
            sum(begin <= each < begin + 600 for each in mailbox.logins) for begin in mailbox.logins
        )
        assert in_ten_minutes <= 4
        mailbox.refuses = False
        await trio.sleep(LONGEST_SECONDS + 60)
        last = {each.monitor_id: each.outcome["category"] for each in checker.results.checks}
        assert set(last.values()) == {"ok"}

        # Refused again, and then people ask.
        mailbox.refuses = True
        await trio.sleep(180)
        mailbox.logins.clear()
        stream = requests_id(monitors[0].id, LoginRetryRequested)
        checker.feed_events(
            [LoginRetryRequested(stream, 1, checker.wall(), str(monitors[0].id), ME)]
        )
        await trio.sleep(1)
        assert mailbox.logins
        await trio.sleep(180)
        mailbox.logins.clear()
        checker.feed(change(monitors[1], checker.wall(), name="renamed"))
        await trio.sleep(1)
        assert len(mailbox.logins) == 1
        nursery.cancel_scope.cancel()
