"""The network policy: which addresses probes may contact.

It keeps users of the API from reaching internal networks by creating monitors. It judges
addresses, never names, and the prober connects to exactly the address that was judged. The
list of networks is explicit, because `ipaddress.is_global` calls several tunnels to private
networks global, and differs between versions of Python.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, TypeAlias

from domain.check import Category, Phase
from mail.net.addresses import unmapped
from mail.protocols.dialogue import ProbeFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mail.net.addresses import Address


Network: TypeAlias = IPv4Network | IPv6Network

# IANA's special-purpose registries (RFC 6890), multicast, and metadata services of clouds.
_REFUSED_IPV4 = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT",  # with the metadata service of one cloud
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "cloud metadata",  # a public address, reachable only inside Azure
    "169.254.0.0/16": "link-local",  # with the metadata service of most clouds
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "protocol assignments",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}

# The first match names the reason, so narrow networks come before wide ones. Networks that
# embed an IPv4 address are refused whole: a gateway decides where such a packet goes.
_REFUSED_IPV6 = {
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::/96": "IPv4-compatible",
    "::ffff:0:0:0/96": "IPv4-translated",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "100::/64": "discard-only",
    "2001::/32": "Teredo",
    "2001::/23": "protocol assignments",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "unique local",  # with the metadata service of some clouds
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}

_GLOBAL_UNICAST = IPv6Network("2000::/3")

_REFUSED_4 = tuple((IPv4Network(net), why) for net, why in _REFUSED_IPV4.items())
_REFUSED_6 = tuple((IPv6Network(net), why) for net, why in _REFUSED_IPV6.items())


class NetworkPolicy:
    """Decides which addresses may be contacted. `allowed` networks are never refused."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    @classmethod
    def parse(cls, allowed: Sequence[str]) -> NetworkPolicy:
        """Make a policy from networks as people write them, such as `10.0.0.0/8`.

        Raises:
            ValueError: One of them is no network; the text says which and why.
        """
        return cls(_parse_network(each) for each in allowed)

    def refusal(self, address: Address) -> str | None:
        """Return why an address may not be contacted, or None when it may."""
        address = unmapped(address)
        if any(address in network for network in self._allowed):
            return None
        if isinstance(address, IPv4Address):
            return next((why for network, why in _REFUSED_4 if address in network), None)
        why = next((why for network, why in _REFUSED_6 if address in network), None)
        return why if why or address in _GLOBAL_UNICAST else "not global unicast"

    def check(self, addresses: Iterable[Address]) -> None:
        """Refuse a target when one of its addresses is refused.

        The owner of a name with a public and a private address decides which of them answers
        first, so one refused address is enough.

        Raises:
            ProbeFailed: `address_blocked`, with the address and the reason.
        """
        for address in addresses:
            why = self.refusal(address)
            if why is not None:
                raise ProbeFailed(
                    Category.ADDRESS_BLOCKED,
                    f"the network policy refuses {address} ({why}); POSTWATCH_ALLOWED_NETWORKS "
                    "of the checker allows a network",
                    phase=Phase.DNS,
                )


def _parse_network(text: str) -> Network:
    try:
        return ip_network(text.strip(), strict=True)
    except ValueError as error:
        raise ValueError(f"allowed networks: {error}") from None
