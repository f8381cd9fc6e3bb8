"""Histories that hypothesis makes: commands of every kind, at times that may repeat."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from domain.commands import CreateCustomer, IssueToken, UpdateCustomer, UpdateMonitor
from domain.errors import ConflictError, NotFoundError
from store.last_checks import LastChecks
from tests.domain.given import CREATE_IMAP, CREATE_SMTP, NOON, TESTER, Owners

if TYPE_CHECKING:
    from uuid import UUID

    from domain.kinds import Kind
    from store.store import Store


PARTS = ("Alpha", "beta", "100%", "ß")
"""Parts of names, so that a search finds some things and others not."""

_names = st.tuples(st.sampled_from(PARTS), st.integers(1, 3)).map(
    lambda each: f"{each[0]} {each[1]}"
)
_secrets = st.sampled_from(["canary-one", "canary-two", None])
_changes = st.one_of(
    st.fixed_dictionaries({"name": _names}),
    st.fixed_dictionaries({"port": st.sampled_from([25, 587, None])}),
    st.fixed_dictionaries({"status": st.sampled_from(["active", "disabled"])}),
    st.fixed_dictionaries({"hostname": st.sampled_from(["a.example.com", "alpha.example.com"])}),
    _secrets.map(lambda each: {"secret": each}),
)
_which = st.integers(0, 3)
_actions = st.one_of(
    st.tuples(st.just("organization"), _names),
    st.tuples(st.just("customer"), _which, _names),
    st.tuples(st.just("rename customer"), _which, _names),
    st.tuples(st.just("token"), _which),
    st.tuples(st.just("use token"), _which),
    st.tuples(st.just("revoke token"), _which),
    st.tuples(st.just("location"), _which, _names),
    st.tuples(st.just("location"), _which),
    *[st.tuples(st.just("create"), st.sampled_from(["smtp", "imap_pop"]), _which, _names)] * 2,
    *[st.tuples(st.just("update"), _which, _changes)] * 3,
    st.tuples(st.just("delete"), _which),
)
_pauses = st.sampled_from([0.0, 0.0004, 0.001, 7.5, -0.002])
HISTORIES = st.lists(st.tuples(_pauses, _actions), min_size=1, max_size=16)
"""Lists of a pause in seconds (clocks go back, too) and something that is done."""


@dataclass(slots=True)
class Play:
    """Plays a history on a store, and knows what it made."""

    store: Store
    now: datetime = NOON
    owners: list[Owners] = field(default_factory=list)
    monitors: list[tuple[Kind, UUID]] = field(default_factory=list)
    tokens: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with one organization that has one customer."""
        self.store.monitoring.clock = lambda: self.now
        self.act(("organization", "First"))

    @property
    def last_checks(self) -> LastChecks:
        """What finds the last checks of the past."""
        return LastChecks(self.store.checks, self.store.archive)

    def all(self, history: list[tuple[float, tuple[Any, ...]]]) -> None:
        """Do everything in order."""
        for pause, action in history:
            self.now += timedelta(seconds=pause)
            with suppress(
                NotFoundError, ConflictError, IndexError
            ):  # there is nothing, or it is gone
                self.act(action)

    def act(self, action: tuple[Any, ...]) -> None:
        """Do one thing. Raises NotFoundError or IndexError when there is none such."""
        log = self.store.monitoring
        match action:
            case ("organization", name):
                organization = log.create_organization(name, TESTER)
                customer = log.create_customer(CreateCustomer(organization.id, name, None), TESTER)
                self.owners.append(Owners(organization, customer))
            case ("customer", which, name):
                organization = self.owners[which].organization
                command = CreateCustomer(organization.id, name, "ops@example.com")
                self.owners.append(Owners(organization, log.create_customer(command, TESTER)))
            case ("rename customer", which, name):
                customer_id = self.owners[which].customer.id
                log.update_customer(UpdateCustomer(customer_id, {"name": name}), TESTER)
            case ("location", which, *names):
                self._act_on_places(f"place-{which}", *names)
            case ("create", kind, which, name):
                of_kind = CREATE_SMTP if kind == "smtp" else CREATE_IMAP
                made = log.create_monitor(self.owners[which].create(of_kind, name=name), TESTER)
                self.monitors.append((kind, made.id))
            case ("update", which, changes):
                kind, monitor_id = self.monitors[which]
                log.update_monitor(UpdateMonitor(monitor_id, _real(kind, changes)), TESTER)
            case ("delete", which):
                log.delete_monitor(self.monitors[which][1], TESTER)
            case _:
                self._act_on_tokens(*action)

    def _act_on_places(self, code: str, name: str | None = None) -> None:
        """Let a checker start there; without a name of the place: retire it."""
        if name is None:
            self.store.monitoring.retire_location(code, TESTER)
        else:
            self.store.monitoring.register_location(code, name, None, TESTER)

    def _act_on_tokens(self, what: str, which: int) -> None:
        log = self.store.monitoring
        if what == "token":
            owners = self.owners[which]
            name = f"Token {len(self.tokens)}"
            command = IssueToken(
                owners.organization.id, owners.customer.id, name, "user", name.ljust(40, "x")
            )
            self.tokens.append(log.issue_token(command, TESTER).id)
        elif what == "use token":
            log.use_token(self.tokens[which], TESTER)
        else:
            log.revoke_token(self.tokens[which], TESTER)


def _real(kind: Kind, changes: dict[str, Any]) -> dict[str, Any]:
    """Return changes as a command has them: a secret is in the config of its kind."""
    if "secret" not in changes:
        return changes
    secret = changes["secret"]
    if kind == "smtp":
        return {"config": {"auth": {"user": "u", "pass": secret}} if secret else {"secure": True}}
    login = {"user": "u", "password": secret} if secret else {}
    return {"config": {"protocol": "imap", **login}}
