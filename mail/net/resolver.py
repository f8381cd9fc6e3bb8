"""Resolves host names: address literals, the hosts file, then DNS, with a cache.

dnspython asks the name servers rather than `getaddrinfo`, which blocks a thread for each
name whose servers are silent and reports silence and errors alike. dnspython does not read
the hosts file, so `HostsFile` does, before DNS, as every mail client does.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
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

REREAD_SECONDS = 5.0
"""After how long a change of the hosts file is read. A look at each name would cost too much."""

_LOCALHOST = ("::1", "127.0.0.1")


class HostsFile:
    """Names with fixed addresses. `clock` returns seconds and never goes back.

    `localhost` and the names below it never leave the machine (RFC 6761 section 6.3).
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._checked_at = float("-inf")
        self._modified_at: float | None = None
        self._names: dict[str, list[Address]] = {}

    def find(self, name: str) -> tuple[Address, ...]:
        """Return the addresses of a name (lower case), none when it is not listed."""
        self._refresh()
        found = self._names.get(name)
        if found is None and (name == "localhost" or name.endswith(".localhost")):
            found = [each for text in _LOCALHOST if (each := parse_literal(text)) is not None]
        return tuple(found or ())

    def _refresh(self) -> None:
        if self._clock() - self._checked_at < REREAD_SECONDS:
            return
        self._checked_at = self._clock()
        try:
            modified_at = self._path.stat().st_mtime
            if modified_at != self._modified_at:
                self._names = _parse_hosts(self._path.read_text("utf-8", "replace"))
                self._modified_at = modified_at
        except OSError:
            # A hosts file that is missing or unreadable lists no names.
            self._names, self._modified_at = {}, None


def _parse_hosts(text: str) -> dict[str, list[Address]]:
    names: dict[str, list[Address]] = {}
    for line in text.splitlines():
        address, *listed = line.partition("#")[0].split() or [""]
        parsed = parse_literal(address)
        for name in listed if parsed is not None else ():
            addresses = names.setdefault(name.lower(), [])
            if parsed is not None and parsed not in addresses:
                addresses.append(parsed)
    return names


ATTEMPT_SECONDS = 2.0
"""How long a name server may be silent before the next one is asked."""

LIFETIME_SECONDS = 10.0
"""How long all name servers together may take."""

OTHER_FAMILY_SECONDS = 1.0
"""How long an answer for one family waits for the other: some servers never answer to AAAA.

RFC 8305 section 3 waits 50 ms. It is longer here, because a monitor judges all addresses.
"""

MAX_RECORDS = 64
"""How many addresses of one family are kept of an answer. An answer may hold thousands."""

_DNS_PORT = 53


@dataclass(frozen=True, slots=True)
class DnsAnswer:
    """The addresses of a name, or the category and the words of a failure.

    `ttl_seconds` is the TTL of the name servers, without the resolver's limits; 0 for a
    failure.
    """

    addresses: tuple[Address, ...] = ()
    ttl_seconds: float = 0.0
    failure: tuple[Category, str] | None = None


class DnsClient:
    """Asks the given name servers, or the system's when none are given. Caches nothing.

    Raises:
        ValueError: A name server is no address, or the system has none.
    """

    def __init__(
        self, name_servers: Sequence[str] = (), *, lifetime_seconds: float = LIFETIME_SECONDS
    ) -> None:
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not name_servers)
        except dns.resolver.NoResolverConfiguration:
            raise ValueError("no name servers: the system has none configured") from None
        if name_servers:
            self._resolver.nameservers = [_name_server(each) for each in name_servers]
        self._resolver.timeout = ATTEMPT_SECONDS
        self._resolver.lifetime = lifetime_seconds

    async def query(self, name: str) -> DnsAnswer:
        """Ask for A and AAAA at the same time. A failure of DNS is an answer, not an error."""
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
            _raise_exhaustion(error)
            return DnsAnswer(failure=(Category.DNS_TIMEOUT, "the name servers do not answer"))
        except (dns.exception.DNSException, UnicodeError) as error:
            _raise_exhaustion(error)
            # NoNameservers (SERVFAIL, REFUSED), a loop of CNAMEs, a name that cannot be.
            kind_of = type(error).__name__
            return DnsAnswer(failure=(Category.DNS_SERVFAIL, f"the name servers fail ({kind_of})"))
        found = (parse_literal(record.to_text()) for record in islice(answer, MAX_RECORDS))
        addresses = tuple(each for each in found if each is not None)
        return DnsAnswer(addresses, answer.expiration - time.time())


def _raise_exhaustion(error: Exception) -> None:
    """Raise a local lack of resources, which dnspython reports as a name server's fault."""
    tried = error.kwargs.get("errors", ()) if isinstance(error, dns.exception.DNSException) else ()
    for *_, cause, _response in tried:
        if isinstance(cause, OSError) and exhaustion(cause):
            raise cause


def _merged(answers: list[DnsAnswer]) -> DnsAnswer:
    good = [each for each in answers if each.addresses]
    if good:
        addresses = tuple(address for each in good for address in each.addresses)
        return DnsAnswer(addresses, min(each.ttl_seconds for each in good))
    # A name without an address of one family may have one of the other, whose look-up
    # failed: that failure says more.
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


MIN_TTL_SECONDS = 5.0
MAX_TTL_SECONDS = 300.0
NEGATIVE_TTL_SECONDS = 15.0
MAX_CACHED_NAMES = 50_000

# These are facts about the name. Other failures are those of its servers or of the network,
# which may work again at the next look-up.
_CACHED_FAILURES = frozenset({Category.DNS_NXDOMAIN, Category.DNS_NO_ADDRESS})


class NameServers(Protocol):
    """Where a resolver asks: a `DnsClient`, or a substitute in tests."""

    async def query(self, name: str) -> DnsAnswer:
        """Return the addresses of a name, or the failure."""
        ...


@dataclass(slots=True)
class _PendingLookup:
    """A running look-up. It ends without an answer when the task that asks is cancelled."""

    ended: trio.Event = field(default_factory=trio.Event)
    answer: DnsAnswer | None = None


class Resolver:
    """Finds the addresses of host names. All tasks that ask for a name share one look-up.

    The cache holds `max_cached` names, the oldest goes first.
    """

    def __init__(
        self,
        name_servers: NameServers,
        hosts: HostsFile | None = None,
        *,
        max_cached: int = MAX_CACHED_NAMES,
    ) -> None:
        self._name_servers = name_servers
        self._max_cached = max_cached
        self._hosts = hosts or HostsFile(HOSTS_FILE, trio.current_time)
        self._cache: dict[str, tuple[float, DnsAnswer]] = {}
        self._pending: dict[str, _PendingLookup] = {}

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
        return _interleaved(answer.addresses)

    def _cached(self, name: str) -> DnsAnswer | None:
        expires, answer = self._cache.get(name, (0.0, None))
        return answer if answer is not None and trio.current_time() < expires else None

    async def _shared_lookup(self, name: str) -> DnsAnswer:
        while (pending := self._pending.get(name)) is not None:
            await pending.ended.wait()
            if pending.answer is not None:
                return pending.answer
            # The task that asked ran out of time. The next one asks, within its own time.
        pending = self._pending[name] = _PendingLookup()
        try:
            pending.answer = await self._name_servers.query(name)
        finally:
            del self._pending[name]
            pending.ended.set()
        self._keep(name, pending.answer)
        return pending.answer

    def _keep(self, name: str, answer: DnsAnswer) -> None:
        if answer.failure is None:
            ttl = min(max(answer.ttl_seconds, MIN_TTL_SECONDS), MAX_TTL_SECONDS)
        elif answer.failure[0] in _CACHED_FAILURES:
            ttl = NEGATIVE_TTL_SECONDS
        else:
            return
        self._cache.pop(name, None)
        while len(self._cache) >= self._max_cached:
            del self._cache[next(iter(self._cache))]
        self._cache[name] = (trio.current_time() + ttl, answer)


def _interleaved(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """Return IPv6 and IPv4 by turns, so that one dead family costs one delay (RFC 8305 4)."""
    by_family = ([each for each in addresses if each.version == version] for version in (6, 4))
    turns = chain.from_iterable(zip_longest(*by_family))
    return tuple(each for each in turns if each is not None)
