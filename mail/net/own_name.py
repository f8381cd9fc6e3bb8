"""The name that probes say in EHLO: a setting, the name of this host, or its address.

Servers compare that name with what DNS says, and some refuse address literals or names that are
not fully qualified (RFC 5321 4.1.1.1, 4.1.4).
"""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


LOOKUP_SECONDS: Final = 2.0
"""How long the look-up of this host's own name may take. Without DNS it would take longer."""

_MAX_LENGTH: Final = 253
_DOMAIN: Final = re.compile(
    r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))+", re.IGNORECASE
)

# Names that mean something on this network only (RFC 6761, RFC 6762, RFC 8375): no server that
# looks them up finds them.
_LOCAL_DOMAINS: Final = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "home.arpa",
    "invalid",
    "test",
    "example",
)


def address_literal(address: str) -> str:
    """Return an address as EHLO takes it (RFC 5321 4.1.3)."""
    bare = address.partition("%")[0]
    return f"[IPv6:{bare}]" if ":" in bare else f"[{bare}]"


def parse_ehlo_name(text: str) -> str:
    """Return a name for EHLO in its normal form: a domain name, or an address literal.

    Raises ValueError; the text is for people.
    """
    try:
        address = ip_address(text.removeprefix("[").removesuffix("]").removeprefix("IPv6:"))
    except ValueError:
        name = text.removesuffix(".").lower()
        if len(name) > _MAX_LENGTH or not _DOMAIN.fullmatch(name):
            raise ValueError(
                "must be a fully qualified domain name such as monitor.example.com, or an address"
            ) from None
        return name
    return address_literal(str(address))


def find_own_name(
    hostname: Callable[[], str] = socket.gethostname,
    lookup: Callable[[], str] = socket.getfqdn,
    *,
    seconds: float = LOOKUP_SECONDS,
) -> str | None:
    """Return the fully qualified name of this host, None when it has none.

    Blocks, for `seconds` at most.
    """
    own = _qualified(hostname())
    if own is not None:
        return own
    found: SimpleQueue[str] = SimpleQueue()
    Thread(target=lambda: found.put(lookup()), daemon=True).start()
    try:
        return _qualified(found.get(timeout=seconds))
    except Empty:
        return None


def _qualified(name: str) -> str | None:
    name = name.removesuffix(".").lower()
    is_local = any(name == each or name.endswith(f".{each}") for each in _LOCAL_DOMAINS)
    if is_local or len(name) > _MAX_LENGTH or not _DOMAIN.fullmatch(name):
        return None
    is_address = name.rpartition(".")[2].isdecimal()
    return None if is_address else name
