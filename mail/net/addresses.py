"""Host names and IP addresses: parsed and written, without any look-up."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

import idna

from domain.check import Category, Phase
from mail.protocols.dialogue import ProbeFailed

Address: TypeAlias = IPv4Address | IPv6Address


def parse_literal(hostname: str) -> Address | None:
    """Return the address that a host name spells, with or without brackets, else None.

    Only the canonical forms are addresses. `127.1` and `0x7f000001`, which some libraries
    read as addresses, are names here: the network policy must judge what is connected to.
    """
    try:
        return ip_address(hostname.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def ascii_name(hostname: str) -> str:
    """Return a host name in the form of DNS and certificates (RFC 5891), lower case.

    Raises:
        ProbeFailed: It breaks the rules of international names, so it cannot exist.
    """
    name = hostname.removesuffix(".").lower()
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise ProbeFailed(
            Category.DNS_NXDOMAIN, "this is not a possible host name", phase=Phase.DNS
        ) from None


def unmapped(address: Address) -> Address:
    """Return the IPv4 address of ::ffff:192.0.2.1, to which the kernel connects instead."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
