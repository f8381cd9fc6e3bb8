"""Which connections of the API wait for their client, and which of them end for others' sake."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final, Protocol

from api.http.client_address import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable


GRACE_SECONDS: Final = 1.0
"""A connection younger than this is kept: its request may lie unread in the system's buffer."""

_INTERFACE_BITS: Final = 64
"""The part of an IPv6 address that its holder chooses freely (RFC 4291, 2.5.4)."""


class Connection(Protocol):
    """A connection, as this module needs it."""

    def give_up(self) -> None:
        """End a connection whose client keeps it waiting."""


class WaitingConnections:
    """The connections of a worker whose request is not whole yet, oldest first, by address.

    Above the limit of an address its oldest one ends; a new one is never refused. The same
    holds above `most` for the oldest of all. IPv6 addresses count by their /64 network.
    """

    def __init__(self, limit: int, most: int, now: Callable[[], float]) -> None:
        self._limit = limit
        self._most = most
        self._now = now
        self._since: dict[Connection, float] = {}
        self._by_holder: dict[str, dict[Connection, float]] = {}

    def __len__(self) -> int:
        return len(self._since)

    def connections(self) -> list[Connection]:
        """Return the connections that wait, oldest first."""
        return list(self._since)

    def add(self, connection: Connection, holder: str | None) -> None:
        """Note that a connection waits for its request; end older ones above the limits.

        `holder` is what `holder_of` gives, None for a proxy, whose connections have no limit
        of their own.
        """
        now = self._now()
        self._since[connection] = now
        if holder is not None:
            own = self._by_holder.setdefault(holder, {})
            own[connection] = now
            if len(own) > self._limit:
                self._end_oldest(own)
        if len(self._since) > self._most:
            self._end_oldest(self._since)

    def remove(self, connection: Connection, holder: str | None) -> None:
        """Note that a connection waits no more: its request is whole, or it has ended."""
        self._since.pop(connection, None)
        own = self._by_holder.get(holder) if holder is not None else None
        if own is not None and own.pop(connection, None) is not None and not own:
            del self._by_holder[holder or ""]

    def trim(self) -> None:
        """End what has become old enough since it was above a limit."""
        for own in list(self._by_holder.values()):
            while len(own) > self._limit and self._end_oldest(own):
                pass
        while len(self._since) > self._most and self._end_oldest(self._since):
            pass

    def _end_oldest(self, connections: dict[Connection, float]) -> bool:
        """End the oldest connection unless it is too young; return whether it was ended."""
        oldest, since = next(iter(connections.items()))
        if self._now() - since < GRACE_SECONDS:
            return False
        oldest.give_up()
        return True


def holder_of(address: str) -> str:
    """Return what connections are counted by: an IPv4 address, the /64 of an IPv6 address."""
    parsed = parse_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        return f"{int(parsed) >> _INTERFACE_BITS:x}/64"
    return address if parsed is None else str(parsed)
