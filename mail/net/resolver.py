"""Host names to addresses: literals, the hosts file, then DNS, with a shared cache.

DNS is asked by dnspython rather than `getaddrinfo`: a name whose servers are silent then
delays nobody else, and an error can be told from a silence.

Asks name servers for the addresses of one name, and says what became of it.

A and AAAA are asked at the same time. Knows dnspython; caches nothing.

The hosts file and the names that never leave the machine (RFC 6761 section 6.3).

dnspython asks name servers only, so this comes first, as it does for every mail client.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
import trio

from domain.check import Category, Phase
from mail.net.addresses import ascii_name, parse_literal
from mail.net.errors import exhaustion
from mail.protocols.dialogue import ProbeFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mail.net.addresses import Address


HOSTS_FILE = Path("/etc/hosts")

# A change of the file is noticed after so long; looking at every lookup would cost more
# than the lookup.
REREAD_SECONDS = 5.0

_LOCALHOST = ("::1", "127.0.0.1")


class HostsFile:
    """Names with fixed addresses. `clock` gives seconds that only ever grow."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._looked = float("-inf")
        self._changed: float | None = None
        self._names: dict[str, list[Address]] = {}

    def find(self, name: str) -> tuple[Address, ...]:
        """Return the addresses of a name (lower case), none when it is not listed."""
        self._refresh()
        found = self._names.get(name)
        if found is None and (name == "localhost" or name.endswith(".localhost")):
            found = [each for text in _LOCALHOST if (each := parse_literal(text)) is not None]
        return tuple(found or ())

    def _refresh(self) -> None:
        if self._clock() - self._looked < REREAD_SECONDS:
            return
        self._looked = self._clock()
        try:
            changed = self._path.stat().st_mtime
            if changed != self._changed:
                self._names = _parse(self._path.read_text("utf-8", "replace"))
                self._changed = changed
        except OSError:
            # No hosts file, or none that we may read: there are no such names.
            self._names, self._changed = {}, None


def _parse(text: str) -> dict[str, list[Address]]:
    names: dict[str, list[Address]] = {}
    for line in text.splitlines():
        address, *listed = line.partition("#")[0].split() or [""]
        parsed = parse_literal(address)
        for name in listed if parsed is not None else ():
            addresses = names.setdefault(name.lower(), [])
            if parsed is not None and parsed not in addresses:
                addresses.append(parsed)
    return names


MIN_TTL_SECONDS = 5.0
MAX_TTL_SECONDS = 300.0
NEGATIVE_TTL_SECONDS = 15.0
MAX_CACHED_NAMES = 50_000

# Only these say something of the name; the others say something of the way to its servers,
# which may be mended at once.
_CACHED_FAILURES = frozenset({Category.DNS_NXDOMAIN, Category.DNS_NO_ADDRESS})


class Dns(Protocol):
    """Something that asks name servers, such as `mail.net.resolver.DnsClient`."""

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


# How long one name server may be silent before the next is asked, and all of them together.
ATTEMPT_SECONDS = 2.0
LIFETIME_SECONDS = 10.0

# RFC 8305 section 3 waits 50 ms for the other family. Ours is longer, because a monitor
# judges all addresses of a name; but some name servers never answer to AAAA.
OTHER_FAMILY_SECONDS = 1.0

_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """What DNS says of a name: addresses, or a category and a sentence why there are none.

    `ttl_seconds` is the servers' own, as it came; 0 for a failure.
    """

    addresses: tuple[Address, ...] = ()
    ttl_seconds: float = 0.0
    failure: tuple[Category, str] | None = None


class DnsClient:
    """Asks the given name servers, or the system's when none are given.

    Raises:
        ValueError: A name server is no address, or the system has none.
    """

    def __init__(self, name_servers: Sequence[str] = ()) -> None:
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not name_servers)
        except dns.resolver.NoResolverConfiguration:
            raise ValueError("no name servers: the system has none configured") from None
        if name_servers:
            self._resolver.nameservers = [_name_server(each) for each in name_servers]
        self._resolver.timeout = ATTEMPT_SECONDS
        self._resolver.lifetime = LIFETIME_SECONDS

    async def query(self, name: str) -> DnsAnswer:
        """Return what A and AAAA of a name say. Never raises for what DNS does."""
        answers: list[DnsAnswer] = []
        async with trio.open_nursery() as nursery:

            async def ask(kind: str) -> None:
                answers.append(await self._ask(name, kind))
                if answers[-1].addresses:
                    nursery.cancel_scope.deadline = trio.current_time() + OTHER_FAMILY_SECONDS

            nursery.start_soon(ask, "A")
            nursery.start_soon(ask, "AAAA")
        return _merged(answers)

    async def _ask(self, name: str, kind: str) -> DnsAnswer:
        try:
            answer = await self._resolver.resolve(name, kind, search=False)
        except dns.resolver.NXDOMAIN:
            return DnsAnswer(failure=(Category.DNS_NXDOMAIN, "the host name does not exist"))
        except dns.resolver.NoAnswer:
            return DnsAnswer(failure=(Category.DNS_NO_ADDRESS, "the host name has no address"))
        except dns.exception.Timeout as error:
            _raise_what_is_ours(error)
            return DnsAnswer(failure=(Category.DNS_TIMEOUT, "the name servers do not answer"))
        except (dns.exception.DNSException, UnicodeError) as error:
            _raise_what_is_ours(error)
            # NoNameservers (SERVFAIL, REFUSED), a loop of CNAMEs, a name that cannot be.
            kind_of = type(error).__name__
            return DnsAnswer(failure=(Category.DNS_SERVFAIL, f"the name servers fail ({kind_of})"))
        found = (parse_literal(record.to_text()) for record in answer)
        addresses = tuple(each for each in found if each is not None)
        return DnsAnswer(addresses, answer.expiration - time.time())


def _raise_what_is_ours(error: Exception) -> None:
    """Raise what the resolver takes for a fault of a name server, and is a lack of ours."""
    tried = error.kwargs.get("errors", ()) if isinstance(error, dns.exception.DNSException) else ()
    for *_, cause, _response in tried:
        if isinstance(cause, OSError) and exhaustion(cause):
            raise cause


def _merged(answers: list[DnsAnswer]) -> DnsAnswer:
    good = [each for each in answers if each.addresses]
    if good:
        addresses = tuple(address for each in good for address in each.addresses)
        return DnsAnswer(addresses, min(each.ttl_seconds for each in good))
    # The failure that says most: a name without an address in one family may merely have
    # the other one, and that is the answer that failed.
    return min(answers, key=_is_without_address)


def _is_without_address(answer: DnsAnswer) -> bool:
    return answer.failure is not None and answer.failure[0] is Category.DNS_NO_ADDRESS


def _name_server(text: str) -> dns.nameserver.Nameserver:
    host, port = text.strip(), _DNS_PORT
    if host.startswith("[") or host.count(":") == 1:
        host, _, digits = host.rpartition(":")
        if not digits.isdecimal():
            raise ValueError(f"name server {text!r}: expected an address or address:port")
        port = int(digits)
    address = parse_literal(host)
    if address is None:
        raise ValueError(f"name server {text!r}: {host!r} is not an IP address")
    return dns.nameserver.Do53Nameserver(str(address), port)
