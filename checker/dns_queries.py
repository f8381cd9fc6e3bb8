"""Asks name servers for the addresses of one name, and says what became of it.

A and AAAA are asked at the same time. Knows dnspython; caches nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
import trio

from checker.addresses import parse_literal
from checker.faults import exhaustion
from domain.outcome import Category

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checker.addresses import Address

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
