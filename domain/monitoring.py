"""The `monitoring` log: every command that changes what is watched, and by whom.

This is the audit log. It holds small streams of people's changes and is kept for ever.

Commands on who owns monitors, who may call, and from where servers are checked.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol
from uuid import UUID, uuid4

from eventsourcing.persistence import IntegrityError

from domain import mail_config
from domain import mail_config as secret_fields
from domain.access_token import AccessToken
from domain.actor import SYSTEM
from domain.application import NumberedLog
from domain.availability import Span, retired_spans
from domain.clock import Clock, utc_now
from domain.commands import CreateCustomer, IssueToken, UpdateCustomer
from domain.errors import (
    KeyStoreUnavailableError,
    NotFoundError,
    RetiredError,
    SecretUnreadableError,
    StaleVersionError,
)
from domain.idempotency import IdempotencyKey
from domain.location import Arrival, MonitoringLocation, location_id
from domain.monitor import Monitor
from domain.organization import Customer, Organization

if TYPE_CHECKING:
    from eventsourcing.utils import EnvType

    from domain.actor import Actor
    from domain.commands import CreateMonitor, UpdateMonitor
    from domain.kinds import Config, Kind


class Ownership(NumberedLog):
    """Organizations, customers, tokens and locations."""

    def set_up(self, organization: str, customer: str, token: str) -> bool:
        """Make the first organization, customer and admin token in one transaction.

        Return False, and store nothing, when there is an organization already.
        """
        if self.next_number("organization") > 1:
            return False
        now = self.clock()
        first = Organization.create(1, organization, actor=SYSTEM, now=now)
        owner = Customer.create(1, CreateCustomer(first.id, customer, None), actor=SYSTEM, now=now)
        admin = AccessToken.issue(
            1, IssueToken(first.id, None, "First admin", "admin", token), actor=SYSTEM, now=now
        )
        try:
            self.save(
                *(self.registered("organization", first, SYSTEM), first),
                *(self.registered("customer", owner, SYSTEM), owner),
                *(self.registered("access_token", admin, SYSTEM), admin),
            )
        except IntegrityError:
            return False
        return True

    def create_organization(self, name: str, actor: Actor) -> Organization:
        """Add an organization."""
        return self.save_numbered(
            "organization",
            lambda number: Organization.create(number, name, actor=actor, now=self.clock()),
            actor,
        )

    def create_customer(
        self, command: CreateCustomer, actor: Actor, *, repeat: IdempotencyKey | None = None
    ) -> Customer:
        """Add a customer. Raises NotFoundError when there is no such organization."""
        self.load(Organization, command.organization_id, "Organization not found")
        return self.save_numbered(
            "customer",
            lambda number: Customer.create(number, command, actor=actor, now=self.clock()),
            actor,
            repeat=repeat,
        )

    def created_customer(self, customer_id: UUID) -> Customer.Created:
        """Return the event that created a customer."""
        return self.created_by(Customer.Created, customer_id, "Customer not found")

    def update_customer(self, command: UpdateCustomer, actor: Actor) -> Customer:
        """Change a customer; an update without a change records nothing."""

        def attempt() -> Customer:
            customer = self.load(Customer, command.customer_id, "Customer not found")
            if customer.update(command.changes, actor=actor, now=self.clock()):
                self.save(customer)
            return customer

        return self.retry(attempt)

    def issue_token(
        self, command: IssueToken, actor: Actor, *, repeat: IdempotencyKey | None = None
    ) -> AccessToken:
        """Issue a token. The log keeps its hash only."""
        self.load(Organization, command.organization_id, "Organization not found")
        if command.customer_id is not None:
            customer = self.load(Customer, command.customer_id, "Customer not found")
            if customer.organization_id != str(command.organization_id):
                raise NotFoundError("Customer not found")
        return self.save_numbered(
            "access_token",
            lambda number: AccessToken.issue(number, command, actor=actor, now=self.clock()),
            actor,
            repeat=repeat,
        )

    def use_token(self, token_id: UUID, actor: Actor) -> None:
        """Record that a token is in use, once in a while."""
        token = self.load(AccessToken, token_id, "Token not found")
        if token.use(actor=actor, now=self.clock()):
            try:
                self.save(token)
            except IntegrityError:
                return  # another process recorded the same

    def revoke_token(self, token_id: UUID, actor: Actor) -> None:
        """Refuse a token from now on. Raises NotFoundError or ConflictError."""

        def attempt() -> None:
            token = self.load(AccessToken, token_id, "Token not found")
            token.revoke(actor=actor, now=self.clock())
            self.save(token)

        self.retry(attempt)

    def register_location(
        self,
        code: str,
        name: str,
        country: str | None,
        actor: Actor,
        *,
        may_restore: bool = True,
    ) -> Arrival:
        """Make a location known where a checker starts, or its new name and country.

        A retired one is in use again, or, unless that is wanted, RetiredError is raised.
        """

        def create(number: int) -> MonitoringLocation:
            return MonitoringLocation.register(
                number, code=code, name=name, country=country, actor=actor, now=self.clock()
            )

        def attempt() -> Arrival:
            if location_id(code) not in self.repository:
                # Its id is fixed, so whoever loses the race must look again, not save again.
                made = create(self.next_number("location"))
                self.save(self.registered("location", made, actor), made)
                return Arrival(made, {}, is_back=False)
            location = self._location(code)
            if location.is_retired and not may_restore:
                raise RetiredError(f"location {code} is retired")
            now = self.clock()
            is_back = location.restore(actor=actor, now=now)
            changes = location.update(name=name, country=country, actor=actor, now=now)
            if is_back or changes:
                self.save(location)
            return Arrival(location, changes, is_back)

        return self.retry(attempt)

    def retire_location(self, code: str, actor: Actor) -> MonitoringLocation:
        """Have nobody check at a location any more. Raises NotFoundError or ConflictError."""

        def attempt() -> MonitoringLocation:
            location = self._location(code)
            location.retire(actor=actor, now=self.clock())
            self.save(location)
            return location

        return self.retry(attempt)

    def retirements(self, code: str, now: int) -> list[Span]:
        """Return when a location was retired, up to now, in milliseconds since 1970."""
        return retired_spans(self.events.get(location_id(code)), now)

    def _location(self, code: str) -> MonitoringLocation:
        return self.load(MonitoringLocation, location_id(code), "Location not found")


log = logging.getLogger("postwatch.monitoring")


class SecretVault(Protocol):
    """Seals secrets with a key of their owner, and destroys that key."""

    def seal(self, owner: UUID, secret: str) -> str:
        """Return the sealed secret."""

    def unseal(self, owner: UUID, sealed: str) -> str:
        """Return the secret. Raises SecretUnreadableError when its key was destroyed."""

    def destroy(self, owner: UUID) -> None:
        """Make every secret of the owner unreadable for ever.

        Raises KeyStoreUnavailableError when the key is still there.
        """

    def digest(self, data: bytes) -> str:
        """Return a keyed digest, the same for the same data."""


class Monitoring(Ownership):
    """All commands. Each returns when its events are on disk, or raises and stored nothing."""

    name = "monitoring"

    def __init__(
        self, keys: SecretVault, env: EnvType | None = None, clock: Clock = utc_now
    ) -> None:
        super().__init__(env, clock)
        self._keys = keys
        self._owed: set[UUID] = set()

    def repeat_key(self, scope: str, key: str, request: bytes) -> IdempotencyKey:
        """Return the key under which a client may send a request again without harm.

        `scope` is who sends it; the request itself is kept as a keyed digest only.
        """
        return IdempotencyKey(scope, key, self._keys.digest(request))

    def create_monitor(
        self, command: CreateMonitor, actor: Actor, *, repeat: IdempotencyKey | None = None
    ) -> Monitor:
        """Start to watch a mail server. Raises InvalidInputError on half a login."""
        sent, _ = secret_fields.keep_stored_secret(command.kind, command.config, {})
        mail_config.check_credentials(command.kind, sent)
        monitor_id = uuid4()
        config = self._seal(command.kind, sent, monitor_id)
        return self.save_numbered(
            command.kind,
            lambda number: Monitor.create(
                number,
                command,
                monitor_id=monitor_id,
                config=config,
                actor=actor,
                now=self.clock(),
            ),
            actor,
            repeat=repeat,
        )

    def created(self, monitor_id: UUID) -> Monitor.Created:
        """Return the event that created a monitor."""
        return self.created_by(Monitor.Created, monitor_id, "Monitor not found")

    def update_monitor(self, command: UpdateMonitor, actor: Actor) -> Monitor:
        """Change a monitor; an update without a change records nothing.

        A race with another update is decided again on the newer state.
        """

        def attempt() -> Monitor:
            monitor = self._load_monitor(command.monitor_id, command.expected_version)
            changes = dict(command.changes)
            if "config" in changes:
                changes["config"] = self._config_for(monitor, changes["config"])
            if monitor.update(changes, actor=actor, now=self.clock()):
                self.save(monitor)
            return monitor

        return self.retry(attempt)

    def delete_monitor(
        self, monitor_id: UUID, actor: Actor, *, expected_version: int | None = None
    ) -> None:
        """Stop to watch a server and destroy its secret; the history stays."""

        def attempt() -> None:
            monitor = self._load_monitor(monitor_id, expected_version)
            monitor.delete(actor=actor, now=self.clock())
            self.save(monitor)

        try:
            self.retry(attempt)
        except NotFoundError:
            # Perhaps deleted before, with an answer that got lost: then the key is still there.
            if monitor_id in self.repository:
                self._owe(monitor_id)
            raise
        self._owe(monitor_id)

    def _owe(self, monitor_id: UUID) -> None:
        self._owed.add(monitor_id)
        self._destroy_owed()

    def _destroy_owed(self) -> None:
        """Destroy the data keys of monitors that are deleted in the log.

        The deletion is acknowledged also when the key file takes nothing now: the key goes
        with the next deletion, or when `projections run` starts, whichever comes first.
        """
        for monitor_id in self._owed.copy():
            try:
                self._keys.destroy(monitor_id)
            except KeyStoreUnavailableError as error:
                log.warning(
                    "the data key of the deleted monitor %s is not destroyed yet: %s",
                    monitor_id,
                    error,
                )
                return
            self._owed.discard(monitor_id)

    def unsealed(self, monitor_id: UUID, kind: Kind, config: Config) -> Config:
        """Return a stored config with its secret in clear, for the checker and for writers.

        Raises SecretUnreadableError when the key is gone.
        """
        return secret_fields.replace_secret(
            kind, config, lambda sealed: self._keys.unseal(monitor_id, sealed)
        )

    def _config_for(self, monitor: Monitor, sent: Config) -> Config:
        """Return the config to store: the sent one, or with the stored secret kept."""
        kind, stored = monitor.kind, monitor.config
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

    def _load_monitor(self, monitor_id: UUID, expected_version: int | None) -> Monitor:
        monitor = self.load(Monitor, monitor_id, "Monitor not found")
        if monitor.deleted:
            raise NotFoundError("Monitor not found")
        if expected_version is not None and monitor.version != expected_version:
            raise StaleVersionError("The monitor was changed meanwhile; read it again")
        return monitor
