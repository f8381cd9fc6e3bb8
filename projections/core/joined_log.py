"""Several logs, read one after the other, for a view that shows facts of all of them.

Such a view has a position in each log; they are kept as one text, its mark, beside their sum,
which counts as the position of the view. No order between the logs is promised, so the folds of
the view must commute: the same events of each log, in its order, make the same rows.
"""

from __future__ import annotations

from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final

import orjson

from store.log_reader import LoggedEvent, LogReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


_START: Final = (0, "")


class Reached:
    """How far each log is read: a position, and the identity of the event there."""

    def __init__(self, mark: str, logs: Sequence[str]) -> None:
        stored = orjson.loads(mark) if mark else {}
        self._stored: dict[str, tuple[int, str]] = {
            each: tuple(stored.get(each, _START)) for each in logs
        }
        self._newest: dict[str, LoggedEvent] = {}

    def note(self, log: str, logged: LoggedEvent) -> None:
        """Note an event of a log that is read now."""
        self._newest[log] = logged

    def positions(self) -> Mapping[str, int]:
        """Return the position in each log."""
        newest = {log: logged.position for log, logged in self._newest.items()}
        return {log: stored[0] for log, stored in self._stored.items()} | newest

    def identities(self) -> Mapping[str, str]:
        """Return the identity of the last event of each log; empty before the first."""
        newest = {log: identity(logged) for log, logged in self._newest.items()}
        return {log: stored[1] for log, stored in self._stored.items()} | newest

    def mark(self) -> str:
        """Return this as a text."""
        positions, identities = self.positions(), self.identities()
        return orjson.dumps({log: (positions[log], identities[log]) for log in positions}).decode()


class JoinedEvent(LoggedEvent):
    """An event with the sum of the positions up to it, and how far each log is read by now.

    `own_position` is that of the event in its own log.
    """

    reached: Reached
    own_position: int


class JoinedLog:
    """Logs that one view follows. Keeps no position of its own."""

    def __init__(self, readers: Sequence[LogReader]) -> None:
        self.readers = tuple(readers)
        self.name = "+".join(each.name for each in readers)

    def head(self) -> int:
        """Return the sum of the positions of the newest events."""
        return sum(each.head() for each in self.readers)

    def last_given(self) -> int:
        """Return the sum of the highest positions that were ever given."""
        return sum(each.last_given() for each in self.readers)

    def reached(self, mark: str) -> Reached:
        """Return how far a mark says that each log is read."""
        return Reached(mark, [each.name for each in self.readers])

    def each_from(
        self, mark: str, limit: int, *, until: str | None = None, only: str | None = None
    ) -> Iterator[JoinedEvent]:
        """Yield up to `limit` events that follow a mark, of each log in its order.

        No events behind the mark `until`; only those of one log if `only` names it.
        """
        return islice(self._each(mark, limit, until, only), limit)

    def _each(
        self, mark: str, limit: int, until: str | None, only: str | None
    ) -> Iterator[JoinedEvent]:
        reached = self.reached(mark)
        before = reached.positions()
        ends = None if until is None else self.reached(until).positions()
        total = sum(before.values())
        for reader in self.readers:
            if only not in {None, reader.name}:
                continue
            last = before[reader.name]
            for logged in reader.each_after(last, limit):
                if ends is not None and logged.position > ends[reader.name]:
                    break
                total += logged.position - last
                last = logged.position
                reached.note(reader.name, logged)
                joined = JoinedEvent(total, logged.event)
                joined.reached, joined.own_position = reached, logged.position
                yield joined

    def has_diverged(self, mark: str) -> bool:
        """Return whether a log lacks the event that a mark names, or has another in its place."""
        reached = self.reached(mark)
        positions, identities = reached.positions(), reached.identities()
        return any(
            positions[each.name] > each.last_given()
            or _has_other_event(each, positions[each.name], identities[each.name])
            for each in self.readers
        )


FollowedLog = LogReader | JoinedLog
"""What a view is folded from."""


def readers_of(log: FollowedLog) -> tuple[LogReader, ...]:
    """Return the readers of the logs that a view is folded from."""
    return log.readers if isinstance(log, JoinedLog) else (log,)


def events_after(log: FollowedLog, tracked: tuple[int, str], limit: int) -> Iterator[LoggedEvent]:
    """Yield up to `limit` events that follow the position and mark of a view."""
    position, mark = tracked
    if isinstance(log, JoinedLog):
        return log.each_from(mark, limit)
    return log.each_after(position, limit)


def events_between(
    log: FollowedLog, tracked: tuple[int, str], end: tuple[int, str], limit: int
) -> Iterator[LoggedEvent]:
    """Yield up to `limit` events that follow a position and mark, up to others."""
    if isinstance(log, JoinedLog):
        return log.each_from(tracked[1], limit, until=end[1])
    return takewhile(lambda each: each.position <= end[0], log.each_after(tracked[0], limit))


def position_in(log: FollowedLog, name: str, tracked: tuple[int, str]) -> int | None:
    """Return up to where a view has read one log; None when it is not folded from it."""
    position, mark = tracked
    if isinstance(log, JoinedLog):
        return log.reached(mark).positions().get(name)
    return position if log.name == name else None


def mark_of(logged: LoggedEvent) -> str:
    """Return what a view keeps of the last event that it includes."""
    return logged.reached.mark() if isinstance(logged, JoinedEvent) else identity(logged)


def position_of(logged: LoggedEvent) -> int:
    """Return the position of an event in its own log."""
    return logged.own_position if isinstance(logged, JoinedEvent) else logged.position


def has_diverged(log: FollowedLog, position: int, mark: str) -> bool:
    """Return whether the log has another event at a position than the identified one."""
    if isinstance(log, JoinedLog):
        return log.has_diverged(mark)
    return _has_other_event(log, position, mark)


def identity(logged: LoggedEvent) -> str:
    """Return what tells an event from another one at the same position."""
    event = logged.event
    return f"{event.originator_id} {event.originator_version} {event.timestamp.isoformat()}"


def _has_other_event(log: LogReader, position: int, last_event_id: str) -> bool:
    found = log.after(position - 1, 1) if position and last_event_id else []
    return bool(found) and found[0].position == position and identity(found[0]) != last_event_id
