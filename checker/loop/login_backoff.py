"""Backoff of refused logins, so that no server bans the address of the checker.

Pure: time is an argument. Servers and the guards before them count the refused logins of an
address, whatever the protocol. So refusals are counted for a user at an address, over all
monitors of a customer: after a few of them the login is tried again at growing intervals, by
one of these monitors at a time. The checks in between leave the login out: they still detect an
outage, and otherwise report again what the last login brought.

A monitor whose own login was not refused logs in as ever. So the wrong password of one monitor
leaves the right one of another alone, and that of one customer the monitors of others.

Common login guards ban an address after five failures in ten minutes. These intervals lead
to four at most. A server that accepts the password again is noticed within `LONGEST_SECONDS`.

A refusal in words that could mean anything may be an outage. It postpones nothing until it was
seen `FREE_FAILURES` times over `UNCLEAR_SECONDS`, and other words begin the count anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from domain.check import Category, Finding, Phase, Verdict

if TYPE_CHECKING:
    from uuid import UUID

    from checker.loop.monitor_registry import ScheduledMonitor
    from domain.check import Outcome


FREE_FAILURES: Final = 3
"""So many failures in a row are allowed before the backoff begins."""

FIRST_SECONDS: Final = 300.0
LONGEST_SECONDS: Final = 900.0
UNCLEAR_SECONDS: Final = 120.0

LOGIN_POSTPONED: Final = "login_postponed"
"""The warning of a check that left the login out."""

TRY_SECONDS: Final = 60.0
"""So long a login that is tried keeps the other monitors from trying the same."""

_TOLERANCE_SECONDS: Final = 1.0
"""A login that is allowed so soon is tried: the start of a check jitters by this much."""

_ENDS_IN_LOGIN: Final = frozenset(
    {Category.CONNECTION_CLOSED, Category.CONNECTION_RESET, Category.SERVICE_UNAVAILABLE}
)
"""How a server may end the connection in place of refusing the password."""

_FROM_LOGIN_ON: Final = frozenset({Phase.AUTH, Phase.SERVICE, Phase.MAILBOX, Phase.QUIT})
_MOST_WORDS: Final = 20


class Login(NamedTuple):
    """The login of a monitor: its user at the address of the server."""

    customer_id: str
    address: str
    user: str


class Postponed(NamedTuple):
    """A login that is left out now: what the last try brought, and when it is tried again.

    `tried_at` is ISO 8601; None when that was before this checker started.
    """

    wait_seconds: float
    tried_at: str | None
    message: str


@dataclass(slots=True)
class _Refusals:
    """The refusals of one login in a row."""

    first_at: float
    failures: int = 0
    postponed: int = 0
    next_login: float = float("-inf")
    is_clear: bool = False
    tried_at: str | None = None
    message: str = ""
    monitors: dict[UUID, int] = field(default_factory=dict)
    """The monitors whose login was refused, and in which version."""
    words: set[tuple[str, str]] = field(default_factory=set)
    """Kind and words of the refusals that could mean anything."""
    elsewhere: dict[UUID, float] = field(default_factory=dict)
    """When other checkers were refused last, for each of their monitors."""


class LoginBackoff:
    """Keeps the backoff of each login that is refused now."""

    def __init__(self) -> None:
        self._refusals: dict[Login, _Refusals] = {}
        self._logins: dict[UUID, Login] = {}

    def begin(self, monitor: ScheduledMonitor, login: Login, now: float) -> Postponed | None:
        """Ask to log in. Returns why the login has to be left out; None when it may be tried."""
        refusals = self._refusals.get(login)
        if refusals is None or refusals.monitors.get(monitor.monitor_id) != monitor.version:
            return None
        wait = refusals.next_login - now
        if wait > _TOLERANCE_SECONDS:
            return Postponed(wait, refusals.tried_at, refusals.message)
        if refusals.postponed:
            refusals.next_login = now + TRY_SECONDS
        return None

    def note(
        self, monitor: ScheduledMonitor, login: Login, outcome: Outcome, now: float, wall: str
    ) -> None:
        """Update the backoff with the outcome of a check that was allowed to log in.

        `wall` is the time now in ISO 8601.
        """
        if is_refusal(outcome):
            self._refuse(monitor, login, outcome, now, wall)
        elif self._logins.get(monitor.monitor_id) == login and _is_other_answer(outcome):
            # The other monitors of this login may try theirs, too.
            self._end(login)

    def refused_users(self) -> set[tuple[str, str]]:
        """Return customer and user of each login that is refused now."""
        return {(each.customer_id, each.user) for each in self._refusals}

    def hear_refusal(
        self, monitor_id: UUID, login: Login, at: float, *, tried_at: str, message: str
    ) -> None:
        """Count a refusal that another checker of the location saw, unless it is known.

        Only of a login that is refused here, too. `at` is the time by the clock of this checker,
        `tried_at` the same in ISO 8601, `message` what the check said.
        """
        refusals = self._refusals.get(login)
        if refusals is None or at < refusals.first_at - LONGEST_SECONDS:
            return
        if at <= refusals.elsewhere.get(monitor_id, float("-inf")) + _TOLERANCE_SECONDS:
            return
        refusals.elsewhere[monitor_id] = at
        if refusals.tried_at is None or tried_at > refusals.tried_at:
            refusals.tried_at, refusals.message = tried_at, message
        _count(refusals, at)

    def hear_answer(self, monitor_id: UUID, login: Login, at: float) -> None:
        """End the backoff of a login that was refused to another checker, and then was not."""
        refusals = self._refusals.get(login)
        if refusals is not None and at > refusals.elsewhere.get(monitor_id, float("inf")):
            self._end(login)

    def restore(
        self,
        monitor: ScheduledMonitor,
        login: Login,
        refused_at: float,
        *,
        tried_at: str | None,
        message: str,
    ) -> None:
        """Restore from the log that the login was refused before a restart.

        `tried_at` and `message` are those of the last try, None and empty if they are not known.
        """
        refusals = self._refusals.setdefault(login, _Refusals(refused_at))
        refusals.failures = max(refusals.failures, FREE_FAILURES)
        refusals.is_clear = True
        refusals.postponed = max(refusals.postponed, 1)
        refusals.next_login = max(refusals.next_login, refused_at + FIRST_SECONDS)
        refusals.tried_at = refusals.tried_at or tried_at
        refusals.message = refusals.message or message
        self._join(monitor, login, refusals)

    def forget(self, monitor_id: UUID) -> None:
        """Let a monitor that changed log in; drop one that is not checked any more."""
        login = self._logins.pop(monitor_id, None)
        refusals = self._refusals.get(login) if login is not None else None
        if login is not None and refusals is not None:
            refusals.monitors.pop(monitor_id, None)
            if not refusals.monitors:
                del self._refusals[login]

    def retry(self, customer_id: str, user: str | None) -> None:
        """Let every monitor of a customer with this user log in, because people ask for it."""
        for login in [each for each in self._refusals if each[::2] == (customer_id, user)]:
            self._end(login)

    def _refuse(
        self, monitor: ScheduledMonitor, login: Login, outcome: Outcome, now: float, wall: str
    ) -> None:
        refusals = self._refusals.setdefault(login, _Refusals(now))
        if _is_clear(outcome):
            refusals.is_clear = True
        elif not refusals.is_clear:
            self._note_words(monitor, refusals, outcome, now)
        refusals.tried_at = wall
        refusals.message = outcome.message
        _count(refusals, now)
        self._join(monitor, login, refusals)

    def _note_words(
        self, monitor: ScheduledMonitor, refusals: _Refusals, outcome: Outcome, now: float
    ) -> None:
        """Begin the count anew when a server refuses in words that it did not use before."""
        spoken = (monitor.kind, _without_ids(outcome.server_reply or ""))
        is_known_kind = any(kind == monitor.kind for kind, _ in refusals.words)
        if spoken not in refusals.words and is_known_kind and len(refusals.words) < _MOST_WORDS:
            refusals.failures = refusals.postponed = 0
            refusals.first_at = now
            refusals.next_login = now
        refusals.words.add(spoken)

    def _join(self, monitor: ScheduledMonitor, login: Login, refusals: _Refusals) -> None:
        if self._logins.get(monitor.monitor_id) not in {None, login}:
            self.forget(monitor.monitor_id)
        self._logins[monitor.monitor_id] = login
        refusals.monitors[monitor.monitor_id] = monitor.version

    def _end(self, login: Login) -> None:
        for monitor_id in self._refusals.pop(login).monitors:
            self._logins.pop(monitor_id, None)


def _count(refusals: _Refusals, at: float) -> None:
    """Count a refusal; after enough of them set when the login is tried next."""
    refusals.failures += 1
    is_long_enough = refusals.is_clear or at - refusals.first_at >= UNCLEAR_SECONDS
    if refusals.failures >= FREE_FAILURES and is_long_enough:
        distance = min(FIRST_SECONDS * 2**refusals.postponed, LONGEST_SECONDS)
        # Beyond the longest distance postponements need not be counted.
        refusals.postponed = min(refusals.postponed + 1, FREE_FAILURES)
        refusals.next_login = max(refusals.next_login, at + distance)


def is_refusal(outcome: Outcome) -> bool:
    """Return whether guards count what a server did after it got a password as a failed login.

    That is a refusal of the password, and an end of the connection in place of one.
    """
    if outcome.category is Category.AUTH_FAILED:
        return True
    was_sent = outcome.login is not None and outcome.login.secret_was_sent
    return was_sent and outcome.phase is Phase.AUTH and outcome.category in _ENDS_IN_LOGIN


def _is_clear(outcome: Outcome) -> bool:
    """Return whether a refusal is about user and password, or may mean anything."""
    return outcome.login is None or outcome.login.is_known_refusal


def _is_other_answer(outcome: Outcome) -> bool:
    """Return whether the server answered a login in another way than by a refusal.

    A limit of its rate is none, because it follows from the refusals; a check that did not
    come to the login says nothing.
    """
    if outcome.is_up:
        return True
    is_silence_or_limit = outcome.category in {Category.RATE_LIMITED, Category.TIMEOUT}
    return outcome.phase in _FROM_LOGIN_ON and not is_silence_or_limit


def _without_ids(reply: str) -> str:
    """Return a reply without words that have digits: codes of sessions differ each time."""
    return " ".join(each for each in reply.split() if not any(map(str.isdigit, each)))


def with_login_postponed(outcome: Outcome, postponed: Postponed, until: str) -> Outcome:
    """Add to the outcome of a check without login what the last login brought, and when.

    A server that works up to there counts as down for its user, as the last login says. `until`
    is when the login is tried again, in ISO 8601.
    """
    tried_at = postponed.tried_at
    last = f"the last time at {tried_at}" if tried_at else "the last time before a restart"
    finding = Finding(
        LOGIN_POSTPONED,
        f"the login was refused several times, {last}, so it was left out; it is tried from "
        f"{until} on",
    )
    warnings = (*outcome.warnings, finding)
    if not outcome.is_up:
        return replace(outcome, warnings=warnings)
    said = f": {postponed.message}" if postponed.message else ""
    return replace(
        outcome,
        verdict=Verdict.DOWN,
        category=Category.AUTH_FAILED,
        phase=Phase.AUTH,
        message=f"the server works up to the login, which failed {last}{said}",
        warnings=warnings,
    )
