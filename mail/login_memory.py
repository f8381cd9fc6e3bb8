"""Remembers which ways to log in a server offers and does not take, so that a check is one login.

Servers offer SCRAM, CRAM-MD5 or APOP to users whose password they store in another form, and
then refuse them. Only another try tells that from a wrong password, and one check makes one:
after a digest was refused, the next check uses the next way. What then works is used from
then on. Pure: no I/O.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from domain.check import Category

if TYPE_CHECKING:
    from domain.check import LoginFacts, Outcome
    from mail.protocols.target import ProbeTarget


MOST_ACCOUNTS: Final = 10_000

# The server needs more than the password for these: it must store it in a certain form.
_DIGESTS: Final = ("SCRAM-", "CRAM-", "APOP")


class _Account(NamedTuple):
    protocol: str
    hostname: str
    port: int
    tls: str
    user: str


class LoginMemory:
    """The ways to log in that accounts are known not to take; bounded."""

    def __init__(self, most_accounts: int = MOST_ACCOUNTS) -> None:
        self._most_accounts = most_accounts
        self._avoided: OrderedDict[_Account, frozenset[str]] = OrderedDict()

    def avoided(self, target: ProbeTarget) -> frozenset[str]:
        """Return the ways that the next check of a target leaves out."""
        return self._avoided.get(_account(target), frozenset()) if self._avoided else frozenset()

    def note(self, target: ProbeTarget, outcome: Outcome) -> None:
        """Learn from the outcome of a check of the target."""
        facts = outcome.login
        if facts is None or facts.used is None:
            return
        account = _account(target)
        if outcome.category is Category.AUTH_FAILED:
            avoided = self._after_failure(target, facts)
        else:
            avoided = target.avoided_logins.union(facts.refused)
        self._avoided.pop(account, None)
        if avoided:
            self._avoided[account] = avoided
            if len(self._avoided) > self._most_accounts:
                self._avoided.popitem(last=False)

    def _after_failure(self, target: ProbeTarget, facts: LoginFacts) -> frozenset[str]:
        used = facts.used or ""
        if used.startswith(_DIGESTS) and used not in target.avoided_logins:
            return target.avoided_logins.union(facts.refused, (used,))
        # Nothing works: begin anew with everything.
        return frozenset()


def _account(target: ProbeTarget) -> _Account:
    return _Account(target.protocol, target.hostname, target.port, target.tls, target.user or "")
