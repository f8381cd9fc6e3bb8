"""The `monitoring` log: every command that changes what is watched, and by whom.

This is the audit log. It holds small streams of people's changes and is kept for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID, uuid4

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import IntegrityError

from domain import mail_config, secret_fields
from domain.access_token import AccessToken
from domain.actor import SYSTEM
from domain.clock import Clock, utc_now
from domain.commands import CreateCustomer, CreateMonitor, IssueToken, UpdateMonitor
from domain.errors import ConflictError, NotFoundError, SecretUnreadableError
from domain.monitor import Monitor
from domain.numbers import NumberStream, Registered, Sort
from domain.organization import Customer, Organization
from domain.transcoding import OrjsonTranscoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventsourcing.utils import EnvType

    from domain.actor import Actor
    from domain.keys import KeyRing
    from domain.mail_config import Config, Kind

T = TypeVar("T", bound=Aggregate)
R = TypeVar("R")
N = TypeVar("N", Organization, Customer, AccessToken, Monitor)

ATTEMPTS: Final = 100
"""How often a command is tried again after losing a race. In each round somebody wins."""


class Monitoring(Application[UUID]):
    """The commands. Each returns when its events are on disk, or raises and stored nothing."""

    name = "monitoring"

    def __init__(self, keys: KeyRing, env: EnvType | None = None, clock: Clock = utc_now) -> None:
        super().__init__(env)
        self._keys = keys
        self._clock = clock

    def construct_transcoder(self) -> OrjsonTranscoder:
        """Return the transcoder that foreign data cannot poison."""
        return OrjsonTranscoder()

    def set_up(self, organization: str, customer: str, token: str) -> bool:
        """Make the first organization, customer and admin token in one transaction.

        Return False, and store nothing, when there is an organization already.
        """
        if self._numbers("organization").next_number() > 1:
            return False
        now = self._clock()
        first = Organization.create(1, organization, actor=SYSTEM, now=now)
        owner = Customer.create(1, CreateCustomer(first.id, customer, None), actor=SYSTEM, now=now)
        admin = AccessToken.issue(
            1, IssueToken(first.id, None, "First admin", "admin", token), actor=SYSTEM, now=now
        )
        try:
            self.save(
                *(self._registered("organization", first, SYSTEM), first),
                *(self._registered("customer", owner, SYSTEM), owner),
                *(self._registered("access_token", admin, SYSTEM), admin),
            )
        except IntegrityError:
            return False
        return True

    def create_organization(self, name: str, actor: Actor) -> Organization:
        """Add an organization."""
        return self._save_numbered(
            "organization",
            lambda number: Organization.create(number, name, actor=actor, now=self._clock()),
            actor,
        )

    def create_customer(self, command: CreateCustomer, actor: Actor) -> Customer:
        """Add a customer. Raises NotFoundError when there is no such organization."""
        self._get(Organization, command.organization_id, "Organization not found")
        return self._save_numbered(
            "customer",
            lambda number: Customer.create(number, command, actor=actor, now=self._clock()),
            actor,
        )

    def issue_token(self, command: IssueToken, actor: Actor) -> AccessToken:
        """Issue a token. The log keeps its hash only."""
        self._get(Organization, command.organization_id, "Organization not found")
        if command.customer_id is not None:
            customer = self._get(Customer, command.customer_id, "Customer not found")
            if customer.organization_id != str(command.organization_id):
                raise NotFoundError("Customer not found")
        return self._save_numbered(
            "access_token",
            lambda number: AccessToken.issue(number, command, actor=actor, now=self._clock()),
            actor,
        )

    def revoke_token(self, token_id: UUID, actor: Actor) -> None:
        """Refuse a token from now on. Raises NotFoundError or ConflictError."""

        def attempt() -> None:
            token = self._get(AccessToken, token_id, "Token not found")
            token.revoke(actor=actor, now=self._clock())
            self.save(token)

        _retry(attempt)

    def create_monitor(self, command: CreateMonitor, actor: Actor) -> Monitor:
        """Start to watch a mail server. Raises InvalidInputError on half a login."""
        sent, _ = secret_fields.keep_stored_secret(command.kind, command.config, {})
        mail_config.check_credentials(command.kind, sent)
        monitor_id = uuid4()
        config = self._seal(command.kind, sent, monitor_id)
        return self._save_numbered(
            command.kind,
            lambda number: Monitor.create(
                number,
                command,
                monitor_id=monitor_id,
                config=config,
                actor=actor,
                now=self._clock(),
            ),
            actor,
        )

    def update_monitor(self, command: UpdateMonitor, actor: Actor) -> Monitor:
        """Change a monitor; an update without a change records nothing.

        A race with another update is decided again on the newer state.
        """

        def attempt() -> Monitor:
            monitor = self._get_monitor(command.monitor_id)
            changes = dict(command.changes)
            if "config" in changes:
                changes["config"] = self._config_for(monitor, changes["config"])
            if monitor.update(changes, actor=actor, now=self._clock()):
                self.save(monitor)
            return monitor

        return _retry(attempt)

    def delete_monitor(self, monitor_id: UUID, actor: Actor) -> None:
        """Stop to watch a server and destroy its secret; the history stays."""

        def attempt() -> None:
            monitor = self._get_monitor(monitor_id)
            monitor.delete(actor=actor, now=self._clock())
            self.save(monitor)

        _retry(attempt)
        self._keys.destroy(monitor_id)

    def unsealed(self, monitor_id: UUID, kind: Kind, config: Config) -> Config:
        """Return a stored config with its secret in clear, for the checker and for writers.

        Raises SecretUnreadableError when the key is gone.
        """
        return secret_fields.replace_secret(
            kind, config, lambda sealed: self._keys.unseal(monitor_id, sealed)
        )

    def _config_for(self, monitor: Monitor, sent: Config) -> Config:
        """Return the config to store: the sent one, or with the stored secret kept."""
        kind, stored = monitor.kind, monitor.fields["config"]
        config, kept = secret_fields.keep_stored_secret(kind, sent, stored)
        mail_config.check_credentials(kind, config)
        sealed = secret_fields.read_secret(kind, stored)
        if kept or sealed is None:
            return config if kept else self._seal(kind, config, monitor.id)
        if secret_fields.read_secret(kind, config) == self._unseal_or_none(monitor.id, sealed):
            return secret_fields.replace_secret(kind, config, lambda _: sealed)
        return self._seal(kind, config, monitor.id)

    def _unseal_or_none(self, owner: UUID, sealed: str) -> str | None:
        """Return a stored secret; None when it is lost, so that a new one can replace it."""
        try:
            return self._keys.unseal(owner, sealed)
        except SecretUnreadableError:
            return None

    def _seal(self, kind: Kind, config: Config, owner: UUID) -> Config:
        return secret_fields.replace_secret(
            kind, config, lambda secret: self._keys.seal(owner, secret)
        )

    def _get_monitor(self, monitor_id: UUID) -> Monitor:
        monitor = self._get(Monitor, monitor_id, "Monitor not found")
        if monitor.deleted:
            raise NotFoundError("Monitor not found")
        return monitor

    def _get(self, aggregate_class: type[T], aggregate_id: UUID, missing: str) -> T:
        try:
            found: Aggregate = self.repository.get(aggregate_id)
        except AggregateNotFoundError:
            raise NotFoundError(missing) from None
        if not isinstance(found, aggregate_class):
            raise NotFoundError(missing)
        return found

    def _numbers(self, sort: Sort) -> NumberStream:
        return NumberStream(self.events, sort)

    def _registered(
        self, sort: Sort, thing: Organization | Customer | AccessToken | Monitor, actor: Actor
    ) -> Registered:
        return self._numbers(sort).registration(
            thing.number, thing.id, actor=actor, timestamp=thing.created_on
        )

    def _save_numbered(self, sort: Sort, create: Callable[[int], N], actor: Actor) -> N:
        def attempt() -> N:
            thing = create(self._numbers(sort).next_number())
            self.save(self._registered(sort, thing, actor), thing)
            return thing

        return _retry(attempt)


def _retry(attempt: Callable[[], R]) -> R:
    """Try until no other writer came first. The text of the conflict holds event data."""
    for _ in range(ATTEMPTS):
        try:
            return attempt()
        except IntegrityError:
            continue
    raise ConflictError("too many changes at the same time; try again")
