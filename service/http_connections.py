"""Which connections of the API wait for their client, and which of them end for others' sake."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from api.http.log_throttle import LOG_THROTTLE

if TYPE_CHECKING:
    from collections.abc import Callable


GRACE_SECONDS: Final = 1.0
"""A connection younger than this is kept: its request may lie unread in the system's buffer."""


class Connection(Protocol):
    """A connection, as this module needs it."""

    def give_up(self) -> None:
        """End a connection whose client keeps it waiting."""


class Reader(Protocol):
    """A connection whose client has an answer to read."""

    def end_unread(self) -> None:
        """End a connection whose client has not read its answer."""


class WaitingConnections:
    """The connections of a worker whose request is not whole yet, oldest first, by address.

    Above the limit of an address its oldest one ends, unless it is young; a new one is never
    refused. Above `most` the oldest of all ends, however young: more would be more than the
    files that the process may open. IPv6 addresses count by their /64 network.
    """

    def __init__(self, limit: int, most: int, now: Callable[[], float]) -> None:
        self._limit = limit
        self._most = most
        self._now = now
        self._holders: dict[Connection, str | None] = {}
        self._since: dict[str, dict[Connection, float]] = {}

    def connections(self) -> list[Connection]:
        """Return the connections that wait, oldest first."""
        return list(self._holders)

    def add(self, connection: Connection, holder: str | None) -> None:
        """Note that a connection waits for its request; end older ones above the limits.

        `holder` is what `holder_of` gives, None for a proxy, whose connections have no limit
        of their own.
        """
        self._holders[connection] = holder
        if holder is not None:
            self._since.setdefault(holder, {})[connection] = self._now()
            self._end_one(holder)
        while len(self._holders) > self._most:
            self._end(next(iter(self._holders)), len(self._holders), "all addresses")

    def remove(self, connection: Connection) -> None:
        """Note that a connection waits no more: its request is whole, or it has ended."""
        holder = self._holders.pop(connection, None)
        if holder is not None:
            del self._since[holder][connection]
            if not self._since[holder]:
                del self._since[holder]

    def trim(self) -> None:
        """End what has become old enough since it was above the limit of its address."""
        for holder in list(self._since):
            while self._end_one(holder):
                pass

    def _end_one(self, holder: str) -> bool:
        """End the oldest connection of an address above its limit, unless it is young."""
        own = self._since.get(holder, {})
        if len(own) <= self._limit:
            return False
        oldest, since = next(iter(own.items()))
        if self._now() - since < GRACE_SECONDS:
            return False
        self._end(oldest, len(own), holder)
        return True

    def _end(self, connection: Connection, count: int, holder: str) -> None:
        LOG_THROTTLE.log(
            logging.WARNING,
            self,
            "%d connections of %s wait for the rest of a request; the oldest is closed",
            count,
            holder,
        )
        self.remove(connection)
        connection.give_up()


class UnreadAnswers:
    """The answers of a worker that their clients have not read, which lie in memory until then.

    Above `most` bytes the oldest connection of the address with the most of them ends.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._unread: dict[Reader, tuple[str, int]] = {}

    def add(self, connection: Reader, holder: str | None, size: int) -> None:
        """Note that so many bytes lie unread; end connections above the limit."""
        self._unread[connection] = (holder or "the proxies", size)
        while self._total() > self._most:
            self._end_oldest_of_most()

    def remove(self, connection: Reader) -> None:
        """Note that an answer was read, or that the connection has ended."""
        self._unread.pop(connection, None)

    def _total(self) -> int:
        return sum(size for _, size in self._unread.values())

    def _end_oldest_of_most(self) -> None:
        held: Counter[str] = Counter()
        for holder, size in self._unread.values():
            held[holder] += size
        ((most, size),) = held.most_common(1)
        oldest = next(each for each, (holder, _) in self._unread.items() if holder == most)
        LOG_THROTTLE.log(
            logging.WARNING,
            self,
            "%s has not read %d bytes of its answers; its oldest connection is closed",
            most,
            size,
        )
        self.remove(oldest)
        oldest.end_unread()
