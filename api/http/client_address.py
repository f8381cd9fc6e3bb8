"""The address of a client: its connection's, or what a trusted proxy in front of us says."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


Network = IPv4Network | IPv6Network

FORWARDED_FOR: Final = "X-Forwarded-For"
UNKNOWN: Final = "unknown"

_INTERFACE_BITS: Final = 64
"""The part of an IPv6 address that its holder chooses freely (RFC 4291, 2.5.4)."""


class TrustedProxies:
    """The networks of proxies whose `X-Forwarded-For` is believed."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: tuple[Network, ...] = tuple(ip_network(each) for each in networks)

    def trusts(self, text: str) -> bool:
        """Return whether an address is that of a trusted proxy."""
        address = parse_address(text) if self._networks else None
        return address is not None and any(address in each for each in self._networks)

    def client(self, peer: str, forwarded: str | None) -> str:
        """Return the client's address: the last one of the chain that no trusted proxy has.

        `peer` is the address of the connection, `forwarded` the value of `X-Forwarded-For`, to
        which each proxy appends the address that it saw.
        """
        client = peer
        chain = forwarded.split(",") if forwarded else []
        while chain and self.trusts(client):
            address = parse_address(chain.pop().strip().partition("%")[0])
            if address is None:
                break
            client = str(address)
        return client


@lru_cache(maxsize=1024)
def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a text is, IPv4 in IPv6 as IPv4; None for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def holder_of(address: str) -> str:
    """Return what clients are counted by: an IPv4 address, the /64 network of an IPv6 address."""
    parsed = parse_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed) >> _INTERFACE_BITS << _INTERFACE_BITS, 64)))
    return address if parsed is None else str(parsed)
