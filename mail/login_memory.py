"""Remembers which ways to log in a server offers and does not take, so that a check is one login.

Servers offer SCRAM, CRAM-MD5 or APOP to users whose password they store in another form, and
then refuse them. Only another try tells that from a wrong password, and one check makes one:
after a digest was refused, the next check uses the next way. What then works is used from
then on.

A POP3 server may want some time between two logins of a user (LOGIN-DELAY, RFC 2449 6.5). After a
login that worked, the next ones are left out for so long. Pure: time is an argument.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from domain.check import Category

if TYPE_CHECKING:
    from domain.check import LoginFacts, Outcome
    from mail.protocols.target import ProbeTarget


MOST_ACCOUNTS: Final = 10_000

LONGEST_DELAY_SECONDS: Final = 3600
"""A server that wants more time than this would stop the watching of its logins."""

_TOLERANCE_SECONDS: Final = 1.0
"""A login that is allowed so soon is tried: the start of a check jitters by this much."""

# The server needs more than the password for these: it must store it in a certain form.
_DIGESTS: Final = ("SCRAM-", "CRAM-", "APOP")


_Value = TypeVar("_Value")


class _Account(NamedTuple):
    protocol: str
    hostname: str
    port: int
    tls: str
    user: str
    secrets_hash: int


class LoginMemory:
    """What accounts are known not to take, and until when they take no login; bounded."""

    def __init__(self, most_accounts: int = MOST_ACCOUNTS) -> None:
        self._most_accounts = most_accounts
        self._avoided: OrderedDict[_Account, frozenset[str]] = OrderedDict()
        self._next_logins: OrderedDict[_Account, float] = OrderedDict()

    def avoided(self, target: ProbeTarget) -> frozenset[str]:
        """Return the ways that the next check of a target leaves out."""
        return self._avoided.get(_account(target), frozenset()) if self._avoided else frozenset()

    def wait_seconds(self, target: ProbeTarget, now: float) -> float:
        """Return for how many seconds the server wants no login; 0 when it takes one."""
        if not self._next_logins:
            return 0.0
        wait = self._next_logins.get(_account(target), now) - now
        return wait if wait > _TOLERANCE_SECONDS else 0.0

    def note(self, target: ProbeTarget, outcome: Outcome, now: float) -> None:
        """Learn from the outcome of a check that wanted to log in to the target."""
        facts = outcome.login
        if facts is None or facts.used is None:
            return
        account = _account(target)
        self._next_logins.pop(account, None)
        if facts.min_interval_seconds and outcome.is_up:
            delay = min(facts.min_interval_seconds, LONGEST_DELAY_SECONDS)
            self._next_logins[account] = now + delay
            self._drop_oldest(self._next_logins)
        if outcome.category is Category.AUTH_FAILED:
            avoided = self._after_failure(target, facts)
        else:
            avoided = target.avoided_logins.union(facts.refused)
        self._avoided.pop(account, None)
        if avoided:
            self._avoided[account] = avoided
            self._drop_oldest(self._avoided)

    def _drop_oldest(self, kept: OrderedDict[_Account, _Value]) -> None:
        if len(kept) > self._most_accounts:
            kept.popitem(last=False)

    def _after_failure(self, target: ProbeTarget, facts: LoginFacts) -> frozenset[str]:
        used = facts.used or ""
        if used.startswith(_DIGESTS) and used not in target.avoided_logins:
            return target.avoided_logins.union(facts.refused, (used,))
        # Nothing works: begin anew with everything.
        return frozenset()


def _account(target: ProbeTarget) -> _Account:
    return _Account(
        target.protocol,
        target.hostname,
        target.port,
        target.tls,
        target.user or "",
        # Another password is another account: it may be stored in another form.
        hash(target.secrets),
    )
