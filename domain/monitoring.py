"""The `monitoring` log, and the commands that change configuration, owners and tokens.

This is the audit log. It holds small streams of people's changes and is kept for ever. A
command returns when its events are on disk, or raises and has stored nothing.
"""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, cast
from uuid import UUID, uuid4

from eventsourcing.application import AggregateNotFoundError, Application, LRUCache
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import IntegrityError

from domain.access_token import AccessToken
from domain.actor import SYSTEM
from domain.application import CommandRunner, Turn
from domain.availability import Span, milliseconds, retired_spans, watched_spans
from domain.clock import Clock, utc_now
from domain.commands import CreateCustomer, IssueToken, UpdateCustomer
from domain.errors import NotFoundError, StaleVersionError
from domain.event_mapper import EventMapper, as_uuid
from domain.idempotency import IdempotencyKey
from domain.location import MonitoringLocation, Registration, location_id
from domain.monitor import Monitor
from domain.monitor_requests import MonitorRequests
from domain.numbering import NumberedKind, Registered, next_number, number_given
from domain.organization import Customer, Organization
from domain.resource import Resource
from domain.resource_commands import ResourceCommands
from domain.sealed_config import SealedConfigs, SecretVault
from domain.snapshots import NoSnapshots, SnapshotRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from eventsourcing.domain import DomainEventProtocol, MutableOrImmutableAggregate
    from eventsourcing.persistence import Recording
    from eventsourcing.utils import EnvType

    from domain.actor import Actor
    from domain.commands import CreateMonitor, UpdateMonitor
    from domain.kinds import Config, Kind
    from domain.snapshots import Snapshots


T = TypeVar("T", bound=Aggregate)
R = TypeVar("R")
N = TypeVar(
    "N", bound=Organization | Customer | AccessToken | Monitor | MonitoringLocation | Resource
)

_CACHED_AGGREGATES: Final = 1000
"""Aggregates that a process keeps, brought up to date at each use by their new events."""


_STATUS: Final = b'"status":'
"""In the stored bytes of each event that sets a monitor's status."""


class StreamRows(Protocol):
    """What the log's recorder offers in addition to the library's interface."""

    def rows_of(self, streams: Sequence[UUID]) -> Sequence[tuple[str, int, str, bytes]]:
        """Return stream, version, topic and state of all rows of some streams, each in order."""


class Monitoring(Application[UUID]):
    """The commands on monitors, organizations, customers, tokens and locations.

    `guards` are called with what is to be recorded, and may raise to refuse it; `observers` are
    called with what was recorded, after it is on disk.
    """

    name = "monitoring"

    def __init__(
        self,
        vault: SecretVault,
        env: EnvType | None = None,
        clock: Clock = utc_now,
        turn: Turn = nullcontext,
        snapshots: Snapshots | None = None,
    ) -> None:
        # Before the library's initializer, which constructs the repository.
        self._snapshots = snapshots or NoSnapshots()
        super().__init__(env)
        self.clock = clock
        self.guards: list[Callable[[Sequence[DomainEventProtocol[UUID]]], None]] = []
        self.observers: list[Callable[[list[Recording[UUID]]], None]] = []
        self._vault = vault
        self._configs = SealedConfigs(vault)
        self._commands = CommandRunner(turn, self._forget_aggregates)
        self.resources = ResourceCommands(self, vault)
        self.requests = MonitorRequests(self)

    # The log: what the library asks of an application, and how events are written and read.

    def construct_mapper(self) -> EventMapper:
        """Return the mapper, whose transcoder foreign data cannot poison."""
        return EventMapper()

    def construct_repository(self) -> SnapshotRepository:
        """Return the repository, which folds long streams from snapshots."""
        return SnapshotRepository(self.events, self._snapshots, cache_maxsize=_CACHED_AGGREGATES)

    def save(
        self,
        *objs: MutableOrImmutableAggregate[UUID] | DomainEventProtocol[UUID] | None,
        **kwargs: object,
    ) -> list[Recording[UUID]]:
        """Record the new events of aggregates, and events by themselves, all or none.

        The library's own method looks through every object for the methods of a protocol;
        nothing here needs that.
        """
        events: list[DomainEventProtocol[UUID]] = []
        for each in objs:
            if isinstance(each, Aggregate):
                events += each.collect_events()
            elif each is not None:
                events.append(cast("DomainEventProtocol[UUID]", each))
        for guard in self.guards:
            guard(events)
        recordings = self.events.put(events, **kwargs)
        for each in objs:
            if isinstance(each, Aggregate):
                cast("SnapshotRepository", self.repository).take(each, recordings)
        self._notify(recordings)
        return recordings

    def _notify(self, recordings: list[Recording[UUID]]) -> None:
        """Call the observers with what was recorded; it is on disk by now."""
        super()._notify(recordings)
        for observe in self.observers:
            observe(recordings)

    def load(self, aggregate_class: type[T], aggregate_id: UUID, missing: str) -> T:
        """Return an aggregate. Raises NotFoundError with the text `missing`."""
        found = self.find(aggregate_class, aggregate_id)
        if found is None:
            raise NotFoundError(missing)
        return found

    def events_of(self, streams: Sequence[UUID]) -> list[list[DomainEventProtocol[UUID]]]:
        """Return all events of each of some streams, which are read at once."""
        found: dict[UUID, list[DomainEventProtocol[UUID]]] = {each: [] for each in streams}
        mapper = cast("EventMapper", self.mapper)
        for row in cast("StreamRows", self.recorder).rows_of(streams):
            stream = as_uuid(row[0])
            found[stream].append(mapper.event(stream, *row[1:]))
        return [found[each] for each in streams]

    def number_given(self, kind: NumberedKind, thing: N, actor: Actor) -> Registered:
        """Return the event that gives a new thing its number; it is saved with the thing."""
        return number_given(kind, thing.number, thing.id, actor=actor, timestamp=thing.created_on)

    def idempotency_key(self, scope: str, key: str, request: bytes) -> IdempotencyKey:
        """Return the key under which a client may send a request again without harm.

        `scope` is who sends it; the request itself is kept as a keyed digest only.
        """
        return IdempotencyKey(scope, key, self._vault.digest(request))

    # Organizations, customers and tokens.

    def set_up(self, organization: str, customer: str, token: str) -> bool:
        """Make the first organization, customer and admin token in one transaction.

        Return False, and store nothing, when there is an organization already.
        """
        if next_number(self.events, "organization") > 1:
            return False
        now = self.clock()
        first = Organization.create(1, organization, actor=SYSTEM, now=now)
        owner = Customer.create(1, CreateCustomer(first.id, customer, None), actor=SYSTEM, now=now)
        admin = AccessToken.issue(
            1, IssueToken(first.id, None, "First admin", "admin", token), actor=SYSTEM, now=now
        )
        try:
            self.save(
                self.number_given("organization", first, SYSTEM),
                first,
                self.number_given("customer", owner, SYSTEM),
                owner,
                self.number_given("access_token", admin, SYSTEM),
                admin,
            )
        except IntegrityError:
            return False
        return True

    def create_organization(self, name: str, actor: Actor) -> Organization:
        """Add an organization."""
        return self.create_numbered(
            "organization",
            lambda number: Organization.create(number, name, actor=actor, now=self.clock()),
            actor,
        )

    def create_customer(
        self, command: CreateCustomer, actor: Actor, *, repeat: IdempotencyKey | None = None
    ) -> Customer:
        """Add a customer. Raises NotFoundError when there is no such organization.

        A request that was made before returns the customer as it was made then.
        """
        self.load(Organization, command.organization_id, "Organization not found")
        return self.create_numbered(
            "customer",
            lambda number: Customer.create(number, command, actor=actor, now=self.clock()),
            actor,
            repeat=repeat,
        )

    def update_customer(self, command: UpdateCustomer, actor: Actor) -> Customer:
        """Change a customer; an update without a change records nothing."""

        def attempt() -> Customer:
            customer = self.load(Customer, command.customer_id, "Customer not found")
            if customer.update(command.changes, actor=actor, now=self.clock()):
                self.save(customer)
            return customer

        return self._commands.run(attempt)

    def issue_token(
        self, command: IssueToken, actor: Actor, *, repeat: IdempotencyKey | None = None
    ) -> AccessToken:
        """Issue a token. The log keeps its hash only."""
        self.load(Organization, command.organization_id, "Organization not found")
        if command.customer_id is not None:
            customer = self.load(Customer, command.customer_id, "Customer not found")
            if customer.organization_id != str(command.organization_id):
                raise NotFoundError("Customer not found")
        return self.create_numbered(
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

        self._commands.run(attempt)

    # Locations.

    def register_location(
        self,
        code: str,
        name: str,
        country: str | None,
        actor: Actor,
        *,
        may_restore: bool = True,
    ) -> Registration:
        """Record the location of a starting checker, or what changed about a known location.

        Raises RetiredError when the location is retired and may not be restored.
        """

        def attempt() -> Registration:
            location = self.find(MonitoringLocation, location_id(code))
            if location is None:
                return self._add_location(code, name, country, actor)
            found = location.renew(
                name=name, country=country, may_restore=may_restore, actor=actor, now=self.clock()
            )
            if found.is_news:
                self.save(location)
            return found

        return self._commands.run(attempt)

    def _add_location(
        self, code: str, name: str, country: str | None, actor: Actor
    ) -> Registration:
        number, now = next_number(self.events, "location"), self.clock()
        location = MonitoringLocation.register(
            number, code=code, name=name, country=country, actor=actor, now=now
        )
        self.save(self.number_given("location", location, actor), location)
        return Registration(location, {}, is_back=False)

    def retire_location(self, code: str, actor: Actor) -> MonitoringLocation:
        """Have no checks made at a location any more. Raises NotFoundError or ConflictError."""

        def attempt() -> MonitoringLocation:
            location = self.load(MonitoringLocation, location_id(code), "Location not found")
            location.retire(actor=actor, now=self.clock())
            self.save(location)
            return location

        return self._commands.run(attempt)

    def retirements(self, code: str, now: int) -> list[Span]:
        """Return when a location was retired, up to now, in milliseconds since 1970."""
        return retired_spans(self.events.get(location_id(code)), now)

    # Monitors.

    def create_monitor(
        self, command: CreateMonitor, actor: Actor, *, repeat: IdempotencyKey | None = None
    ) -> Monitor:
        """Start to watch a mail server. Raises InvalidInputError on the mask of a secret.

        A request that was made before returns the monitor as it was made then.
        """
        monitor_id = uuid4()
        config = self._configs.seal_new(command.kind, command.config, monitor_id)
        return self.create_numbered(
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

    def update_monitor(self, command: UpdateMonitor, actor: Actor) -> Monitor:
        """Change a monitor; an update without a change records nothing.

        A race with another update is decided again on the newer state.
        """

        def attempt() -> Monitor:
            monitor = self._load_monitor(command.monitor_id, command.expected_version)
            changes = dict(command.changes)
            if "config" in changes:
                changes["config"] = self._configs.seal_changed(monitor, changes["config"])
            if monitor.update(changes, actor=actor, now=self.clock()):
                self.save(monitor)
            return monitor

        return self._commands.run(attempt)

    def delete_monitor(
        self, monitor_id: UUID, actor: Actor, *, expected_version: int | None = None
    ) -> None:
        """Stop to watch a server and destroy its secret; the history stays."""

        def attempt() -> None:
            monitor = self._load_monitor(monitor_id, expected_version)
            monitor.delete(actor=actor, now=self.clock())
            self.save(monitor)

        try:
            self._commands.run(attempt)
        except NotFoundError:
            # Perhaps deleted before, and the answer was lost: then the key still exists.
            if monitor_id in self.repository:
                self._configs.destroy_key(monitor_id)
            raise
        self._configs.destroy_key(monitor_id)

    def watched(self, monitor_id: UUID, now: int) -> list[Span]:
        """Return when a monitor was to be checked, up to now, in milliseconds since 1970.

        Also of a deleted monitor; none of one that never was.
        """
        return watched_spans(self._statuses(monitor_id), now)

    def _statuses(self, monitor_id: UUID) -> Iterator[tuple[int, str]]:
        mapper = cast("EventMapper", self.mapper)
        for _, _, topic, state in cast("StreamRows", self.recorder).rows_of([monitor_id]):
            if topic == Monitor.Updated.TOPIC and _STATUS not in state:
                continue
            values = mapper.values(topic, state)
            status = values.get("changes", values).get("status")
            if topic == Monitor.Deleted.TOPIC:
                status = "disabled"
            if status is not None:
                yield milliseconds(datetime.fromisoformat(values["timestamp"])), status

    def unsealed(self, monitor_id: UUID, kind: Kind, config: Config) -> Config:
        """Return a stored config with its secret in clear, for the checker and for writers.

        Raises SecretUnreadableError when the key was destroyed.
        """
        return self._configs.unsealed(monitor_id, kind, config)

    def _load_monitor(self, monitor_id: UUID, expected_version: int | None) -> Monitor:
        monitor = self.load(Monitor, monitor_id, "Monitor not found")
        if monitor.deleted:
            raise NotFoundError("Monitor not found")
        if expected_version is not None and monitor.version != expected_version:
            raise StaleVersionError("The monitor was changed meanwhile; read it again")
        return monitor

    # What the commands share.

    def find(self, aggregate_class: type[T], aggregate_id: UUID) -> T | None:
        """Return an aggregate; None when there is none of this class and id."""
        try:
            found: Aggregate = self.repository.get(aggregate_id)
        except AggregateNotFoundError:
            return None
        return found if isinstance(found, aggregate_class) else None

    def create_numbered(
        self,
        kind: NumberedKind,
        create: Callable[[int], N],
        actor: Actor,
        *,
        repeat: IdempotencyKey | None = None,
    ) -> N:
        """Save a new thing together with its number, and with the client's key for it.

        A repeated request creates nothing: it returns the thing that the first request created,
        as it was then. Raises ConflictError when the key was used for another request.
        """

        def attempt() -> N:
            before = repeat.previous_result(self.events) if repeat else None
            if before is not None:
                made: N = self.repository.get(before, version=1)
                return made
            return self.add_numbered(kind, create, actor, repeat=repeat)

        return self._commands.run(attempt)

    def add_numbered(
        self,
        kind: NumberedKind,
        create: Callable[[int], N],
        actor: Actor,
        *,
        repeat: IdempotencyKey | None = None,
    ) -> N:
        """Save a new thing together with its number. Raises IntegrityError on a lost race."""
        thing = create(next_number(self.events, kind))
        answered = repeat.answered(thing.id, actor=actor, now=thing.created_on) if repeat else None
        self.save(answered, self.number_given(kind, thing, actor), thing)
        return thing

    def run(self, attempt: Callable[[], R]) -> R:
        """Run a command, again when another writer was first. Raises ConflictError."""
        return self._commands.run(attempt)

    def destroy_key(self, owner: UUID) -> None:
        """Destroy the data key of a deleted monitor or channel."""
        self._configs.destroy_key(owner)

    def _forget_aggregates(self) -> None:
        self.repository.cache = LRUCache(_CACHED_AGGREGATES)
