"""Limits how many connections are open to one address, and shares them fairly.

An address is what a probe connects to, whatever names and monitors lead there. Its places are
shared so that nobody's hanging checks hold up the healthy checks of others:

- Checks that are slow, or not known to be quick, get half of the places together.
- A customer who has a place already leaves the last `KEPT_FOR_CUSTOMERS` to others, and an
  organization that has one leaves the last `KEPT_FOR_ORGANIZATIONS`. So the check of a customer
  without any begins at once, unless several others hang at the same time.
- Checks that wait take turns: by organization, then by customer, then by kind and port.

Pure: knows no clock and no sockets.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeAlias, TypeVar

from typing_extensions import override

from mail.guard import ProbeGuard
from mail.net.addresses import unmapped

if TYPE_CHECKING:
    from collections.abc import Callable

    from mail.net.addresses import Address


KEPT_FOR_CUSTOMERS: Final = 0.3
KEPT_FOR_ORGANIZATIONS: Final = 0.1
SLOW_SHARE: Final = 0.5
"""Shares of the places of an address."""

W = TypeVar("W")
K = TypeVar("K")
V = TypeVar("V")

PortKey: TypeAlias = tuple[str, int | None]
"""Kind and port of a monitor."""


class Claimant(NamedTuple):
    """Whose check wants a place, and whether it may take long."""

    organization_id: str
    customer_id: str
    port: PortKey
    is_slow: bool


class Released(NamedTuple, Generic[W]):
    """A waiting check that got a place at an address."""

    address: str
    claimant: Claimant
    waiting: W


class FairQueue(Generic[W]):
    """Waiting checks. Organizations take turns, then their customers, then the ports of those."""

    def __init__(self) -> None:
        self._turns: dict[str, dict[str, dict[PortKey, deque[tuple[Claimant, W]]]]] = {}

    def __bool__(self) -> bool:
        return bool(self._turns)

    def put(self, claimant: Claimant, waiting: W) -> None:
        """Add a check as the last one of its port."""
        customers = self._turns.setdefault(claimant.organization_id, {})
        ports = customers.setdefault(claimant.customer_id, {})
        ports.setdefault(claimant.port, deque()).append((claimant, waiting))

    def pop(
        self, may_organization: Callable[[str], bool], may_customer: Callable[[str], bool]
    ) -> tuple[Claimant, W] | None:
        """Remove and return the first check that may begin, None when none may."""
        for organization, customers in self._turns.items():
            if not may_organization(organization):
                continue
            for customer, ports in customers.items():
                if may_customer(customer):
                    port, queue = next(iter(ports.items()))
                    found = queue.popleft()
                    _end_turn(ports, port)
                    _end_turn(customers, customer)
                    _end_turn(self._turns, organization)
                    return found
        return None


def _end_turn(turns: dict[K, V], key: K) -> None:
    """Move a key to the end of the turns; remove it when nothing of it waits."""
    value = turns.pop(key)
    if value:
        turns[key] = value


@dataclass(slots=True)
class _Places(Generic[W]):
    """The places of one address that are taken, and the checks that wait for one."""

    taken: int = 0
    slow: int = 0
    organizations: dict[str, int] = field(default_factory=dict)
    customers: dict[str, int] = field(default_factory=dict)
    waiting: dict[bool, FairQueue[W]] = field(default_factory=dict)
    """The slow ones and the quick ones; the side whose turn it is comes first."""


class AddressLimiter(Generic[W]):
    """The places of all addresses. `limit` is how many connections to one there may be."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._slow_limit = max(int(limit * SLOW_SHARE), 1)
        self._kept_for_customers = int(limit * KEPT_FOR_CUSTOMERS)
        self._kept_for_organizations = int(limit * KEPT_FOR_ORGANIZATIONS)
        self._addresses: dict[str, _Places[W]] = {}

    def enter(self, address: str, claimant: Claimant) -> bool:
        """Take a place at an address, if the claimant may have one now."""
        places = self._addresses.get(address)
        if places is None:
            places = self._addresses[address] = _Places()
        elif not (
            self._may_be(places, is_slow=claimant.is_slow)
            and self._may_organization(places, claimant.organization_id)
            and self._may_customer(places, claimant.customer_id)
        ):
            return False
        self._take(places, claimant)
        return True

    def request(self, address: str, claimant: Claimant, waiting: W) -> bool:
        """Take a place, or queue and return False: then a later `leave` releases the check."""
        if self.enter(address, claimant):
            return True
        queues = self._addresses[address].waiting
        queue = queues.get(claimant.is_slow)
        if queue is None:
            queue = queues[claimant.is_slow] = FairQueue()
        queue.put(claimant, waiting)
        return False

    def leave(self, address: str, claimant: Claimant) -> list[Released[W]]:
        """Give a place back; return the waiting checks that got one by that."""
        places = self._addresses[address]
        places.taken -= 1
        places.slow -= claimant.is_slow
        _subtract(places.organizations, claimant.organization_id)
        _subtract(places.customers, claimant.customer_id)
        released: list[Released[W]] = []
        while places.waiting and (found := self._release(places)) is not None:
            released.append(Released(address, *found))
        if not places.taken and not places.waiting:
            del self._addresses[address]
        return released

    def _release(self, places: _Places[W]) -> tuple[Claimant, W] | None:
        for is_slow, queue in list(places.waiting.items()):
            if not self._may_be(places, is_slow=is_slow):
                continue
            found = queue.pop(
                lambda organization: self._may_organization(places, organization),
                lambda customer: self._may_customer(places, customer),
            )
            if found is not None:
                _end_turn(places.waiting, is_slow)
                self._take(places, found[0])
                return found
        return None

    def _take(self, places: _Places[W], claimant: Claimant) -> None:
        places.taken += 1
        places.slow += claimant.is_slow
        _add(places.organizations, claimant.organization_id)
        _add(places.customers, claimant.customer_id)

    def _may_be(self, places: _Places[W], *, is_slow: bool) -> bool:
        return places.taken < self._limit and (not is_slow or places.slow < self._slow_limit)

    def _may_organization(self, places: _Places[W], organization_id: str) -> bool:
        free = self._limit - places.taken
        return free > self._kept_for_organizations or organization_id not in places.organizations

    def _may_customer(self, places: _Places[W], customer_id: str) -> bool:
        free = self._limit - places.taken
        return free > self._kept_for_customers or customer_id not in places.customers


def _add(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _subtract(counts: dict[str, int], key: str) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]


class SocketBudget:
    """How many sockets are open for checks: one for each, and one for each further attempt."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    @property
    def free(self) -> int:
        """How many more sockets may be opened."""
        return self._limit - self.used


class CheckPlaces(ProbeGuard, Generic[W]):
    """The places that one check has, and the addresses where it got none.

    `reserved` is an address at which the check has a place before it begins. `on_release` is
    called with waiting checks that got a place because this one gave it back.
    """

    def __init__(
        self,
        limiter: AddressLimiter[W],
        claimant: Claimant,
        reserved: str | None,
        *,
        sockets: SocketBudget,
        on_release: Callable[[list[Released[W]]], None],
    ) -> None:
        self.refused: list[Address] = []
        self._limiter = limiter
        self._claimant = claimant
        self._reserved = reserved
        self._sockets = sockets
        self._on_release = on_release
        self._taken: list[str] = []

    @override
    def may_connect(self, address: Address) -> bool:
        text = str(unmapped(address))
        # The check itself counts as one socket already.
        is_further = bool(self._taken)
        if is_further and self._sockets.free <= 0:
            self.refused.append(address)
            return False
        if text == self._reserved:
            self._reserved = None
        elif not self._limiter.enter(text, self._claimant):
            self.refused.append(address)
            return False
        self._sockets.used += is_further
        self._taken.append(text)
        return True

    @override
    def disconnected(self, address: Address) -> None:
        text = str(unmapped(address))
        self._taken.remove(text)
        self._sockets.used -= bool(self._taken)
        self._give_back(text)

    @override
    def may_log_in(self, address: Address) -> bool:
        del address
        return True

    def close(self) -> None:
        """Give back the reserved place if no connection used it."""
        if self._reserved is not None:
            self._give_back(self._reserved)
            self._reserved = None

    def _give_back(self, address: str) -> None:
        released = self._limiter.leave(address, self._claimant)
        if released:
            self._on_release(released)
