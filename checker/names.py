"""Host names to addresses: literals, the hosts file, then DNS, with a shared cache.

DNS is asked by dnspython rather than `getaddrinfo`: a name whose servers are silent then
delays nobody else, and an error can be told from a silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Protocol

import trio

from checker.addresses import ascii_name, parse_literal
from checker.failure import ProbeFailed
from checker.hosts_file import HOSTS_FILE, HostsFile
from domain.outcome import Category, Phase

if TYPE_CHECKING:
    from checker.addresses import Address
    from checker.dns_queries import DnsAnswer

MIN_TTL_SECONDS = 5.0
MAX_TTL_SECONDS = 300.0
NEGATIVE_TTL_SECONDS = 15.0
MAX_CACHED_NAMES = 50_000

# Only these say something of the name; the others say something of the way to its servers,
# which may be mended at once.
_CACHED_FAILURES = frozenset({Category.DNS_NXDOMAIN, Category.DNS_NO_ADDRESS})


class Dns(Protocol):
    """Something that asks name servers, such as `checker.dns_queries.DnsClient`."""

    async def query(self, name: str) -> DnsAnswer:
        """Return what DNS says of a name."""
        ...


@dataclass(slots=True)
class _Flight:
    """A lookup under way. It lands without an answer when the task that flew it ended."""

    landed: trio.Event = field(default_factory=trio.Event)
    answer: DnsAnswer | None = None


class Resolver:
    """Finds the addresses of host names; one lookup of a name at a time serves all who ask."""

    def __init__(self, dns: Dns, hosts: HostsFile | None = None) -> None:
        self._dns = dns
        self._hosts = hosts or HostsFile(HOSTS_FILE, trio.current_time)
        self._cache: dict[str, tuple[float, DnsAnswer]] = {}
        self._flights: dict[str, _Flight] = {}

    async def resolve(self, hostname: str) -> tuple[Address, ...]:
        """Return at least one address, in the order in which to try them.

        Raises:
            ProbeFailed: There is no address; the category begins with `dns_`.
        """
        literal = parse_literal(hostname)
        if literal is not None:
            return (literal,)
        name = ascii_name(hostname)
        fixed = self._hosts.find(name)
        if fixed:
            return fixed
        answer = self._cached(name) or await self._shared_lookup(name)
        if answer.failure is not None:
            raise ProbeFailed(*answer.failure, phase=Phase.DNS)
        return _alternating(answer.addresses)

    def _cached(self, name: str) -> DnsAnswer | None:
        expires, answer = self._cache.get(name, (0.0, None))
        return answer if answer is not None and trio.current_time() < expires else None

    async def _shared_lookup(self, name: str) -> DnsAnswer:
        while (flight := self._flights.get(name)) is not None:
            await flight.landed.wait()
            if flight.answer is not None:
                return flight.answer
            # Whoever asked ran out of time. The next in line asks with its own time.
        flight = self._flights[name] = _Flight()
        try:
            flight.answer = await self._dns.query(name)
        finally:
            del self._flights[name]
            flight.landed.set()
        self._keep(name, flight.answer)
        return flight.answer

    def _keep(self, name: str, answer: DnsAnswer) -> None:
        if answer.failure is None:
            ttl = min(max(answer.ttl_seconds, MIN_TTL_SECONDS), MAX_TTL_SECONDS)
        elif answer.failure[0] in _CACHED_FAILURES:
            ttl = NEGATIVE_TTL_SECONDS
        else:
            return
        self._cache.pop(name, None)
        while len(self._cache) >= MAX_CACHED_NAMES:
            del self._cache[next(iter(self._cache))]
        self._cache[name] = (trio.current_time() + ttl, answer)


def _alternating(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """IPv6 first, then by turns, so that one dead family costs one delay (RFC 8305 4)."""
    by_family = ([each for each in addresses if each.version == version] for version in (6, 4))
    turns = chain.from_iterable(zip_longest(*by_family))
    return tuple(each for each in turns if each is not None)
