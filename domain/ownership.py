"""Commands on who owns monitors, who may call, and from where servers are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventsourcing.persistence import IntegrityError

from domain.access_token import AccessToken
from domain.actor import SYSTEM
from domain.commands import CreateCustomer, IssueToken, UpdateCustomer
from domain.errors import NotFoundError, RetiredError
from domain.location import Arrival, MonitoringLocation, location_id
from domain.numbered_log import NumberedLog
from domain.organization import Customer, Organization
from domain.uptime import Span, retired_spans

if TYPE_CHECKING:
    from uuid import UUID

    from domain.actor import Actor
    from domain.repeats import RepeatKey


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
        self, command: CreateCustomer, actor: Actor, *, repeat: RepeatKey | None = None
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
        self, command: IssueToken, actor: Actor, *, repeat: RepeatKey | None = None
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
