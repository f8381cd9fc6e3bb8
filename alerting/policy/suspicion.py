"""Is it us? Whether what a location sees is its own network.

Counts that run along, never a scan: a check costs the same however many monitors there are.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from alerting.policy.facts import Canaries, Timing
    from alerting.policy.votes import Watch


LEAST_MONITORS: Final = 5
LEAST_SERVERS: Final = 3

Change = Literal["none", "suspected", "confirmed", "recovered"]
"""`confirmed`: another place, or a canary, proves the network, and what failed counts.
`recovered`: the network was away, and what failed meanwhile says nothing."""


class _Failure(NamedTuple):
    """How a network failure is counted at a location."""

    server: str
    is_seen_elsewhere: bool
    """Whether another place that speaks watches the monitor, too."""
    fails_elsewhere: bool


@dataclass(slots=True)
class _Location:
    """The running counts of one location. `current`: monitors by the time of their last check."""

    current: OrderedDict[str, float] = field(default_factory=OrderedDict)
    failures: dict[str, _Failure] = field(default_factory=dict)
    servers: dict[str, int] = field(default_factory=dict)
    seen_elsewhere: int = 0
    failing_elsewhere: int = 0
    canaries_at: float = float("-inf")
    canaries_answer: bool = False
    suspect_since: float | None = None
    by_canaries: bool = False
    is_released: bool = False
    counts_from: float = float("-inf")

    def count(self, monitor_id: str, failure: _Failure | None) -> None:
        """Replace what is counted of a monitor."""
        before = self.failures.pop(monitor_id, None)
        if before is not None:
            self._add(before, -1)
        if failure is not None:
            self.failures[monitor_id] = failure
            self._add(failure, 1)

    def _add(self, failure: _Failure, sign: int) -> None:
        self.servers[failure.server] = self.servers.get(failure.server, 0) + sign
        if not self.servers[failure.server]:
            del self.servers[failure.server]
        self.seen_elsewhere += sign * failure.is_seen_elsewhere
        self.failing_elsewhere += sign * failure.fails_elsewhere


class Suspicions:
    """Says which locations are trusted."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._locations: dict[str, _Location] = {}
        self._watches: dict[str, Watch] = {}

    def is_trusted(self, location: str) -> bool:
        """Return whether a location has a vote."""
        found = self._locations.get(location)
        return found is None or found.suspect_since is None

    def is_released(self, location: str) -> bool:
        """Return whether a suspect location votes where no other place looks."""
        found = self._locations.get(location)
        return found is not None and found.is_released

    def counts_from(self, location: str) -> float:
        """Return since when failures at a location count: it recovered at that moment."""
        found = self._locations.get(location)
        return float("-inf") if found is None else found.counts_from

    def suspect_since(self, location: str) -> float | None:
        """Return since when a location is suspect; None when it is trusted."""
        found = self._locations.get(location)
        return None if found is None else found.suspect_since

    def locations(self) -> list[str]:
        """Return the locations that checked something."""
        return list(self._locations)

    def share(self, location: str) -> tuple[int, int, int]:
        """Return how many monitors fail there, of how many, and on how many servers."""
        found = self._locations.get(location, _Location())
        return len(found.failures), len(found.current), len(found.servers)

    def release(self, location: str) -> None:
        """Let a location that is suspect for long vote where no other place looks."""
        self._locations[location].is_released = True

    def note_check(self, watch: Watch, location: str, now: float) -> list[tuple[str, Change]]:
        """Count a check, whose streak is counted already; return the locations that changed.

        What one place sees also says something about the others that watch the monitor.
        """
        found = self._locations.setdefault(location, _Location())
        monitor_id = watch.monitor.monitor_id
        self._watches[monitor_id] = watch
        is_new = monitor_id not in found.current
        found.current[monitor_id] = watch.places[location].finished
        found.current.move_to_end(monitor_id)
        was_failure = monitor_id in found.failures
        judged: tuple[str, ...] = (location,)
        if is_new or watch.places[location].is_network_failure or was_failure:
            self._count(watch)
            judged = tuple(watch.places)
        changes = ((each, self._judge(self._locations.get(each), now)) for each in judged)
        return [each for each in changes if each[1] != "none"]

    def note_canaries(self, canaries: Canaries, now: float) -> list[tuple[str, Change]]:
        """Take a round of canaries: one that answers vetoes, all silent is proof."""
        found = self._locations.setdefault(canaries.location, _Location())
        found.canaries_at = min(canaries.finished, now)
        found.canaries_answer = canaries.any_answered
        return [(canaries.location, self._judge(found, now))]

    def forget(self, watch: Watch) -> None:
        """Stop to count a monitor that is not checked any more, or whose target changed."""
        self._watches.pop(watch.monitor.monitor_id, None)
        for location in watch.places:
            found = self._locations.get(location)
            if found is not None:
                found.current.pop(watch.monitor.monitor_id, None)
                found.count(watch.monitor.monitor_id, None)

    def _count(self, watch: Watch) -> None:
        """Count a monitor anew at each of its places: each says something about the others."""
        monitor_id = watch.monitor.monitor_id
        speaking = {
            code: place.is_network_failure
            for code, place in watch.places.items()
            if code in self._locations and monitor_id in self._locations[code].current
        }
        failing = sum(speaking.values())
        for code, is_failure in speaking.items():
            failure = None
            if is_failure:
                failure = _Failure(watch.server, len(speaking) > 1, failing > 1)
            self._locations[code].count(monitor_id, failure)

    def _judge(self, found: _Location | None, now: float) -> Change:
        """Judge a location by its counts; return what changed."""
        if found is None:
            return "none"
        self._expire(found, now)
        have_canaries = found.canaries_at + self._timing.current_within >= now
        if found.suspect_since is None and not have_canaries and not found.failures:
            return "none"
        are_silent = have_canaries and not found.canaries_answer
        vetoed = have_canaries and found.canaries_answer
        is_suspect = are_silent or (not vetoed and _looks_cut_off(found))
        if is_suspect and found.suspect_since is None:
            found.suspect_since = found.canaries_at if are_silent else now
            found.by_canaries = are_silent
            return "suspected"
        if is_suspect or found.suspect_since is None:
            found.by_canaries = found.by_canaries or are_silent
            return "none"
        return self._trust(found, now, is_proven=vetoed or _is_confirmed(found))

    @staticmethod
    def _trust(found: _Location, now: float, *, is_proven: bool) -> Change:
        # Silent canaries proved that the network was away, so their answer means that it is back.
        was_away = found.by_canaries or not is_proven
        found.suspect_since, found.by_canaries, found.is_released = None, False, False
        if was_away:
            found.counts_from = now
        return "recovered" if was_away else "confirmed"

    def _expire(self, found: _Location, now: float) -> None:
        """Forget checks that are too old to say something about the network."""
        while found.current:
            monitor_id, finished = next(iter(found.current.items()))
            if finished + self._timing.current_within >= now:
                return
            del found.current[monitor_id]
            found.count(monitor_id, None)
            if monitor_id in self._watches:
                self._count(self._watches[monitor_id])


def _looks_cut_off(found: _Location) -> bool:
    """Return whether so much fails that the network of the location is the likely cause."""
    return (
        len(found.failures) >= LEAST_MONITORS
        and len(found.servers) >= LEAST_SERVERS
        and 2 * len(found.failures) >= len(found.current)
        and not _is_confirmed(found)
    )


def _is_confirmed(found: _Location) -> bool:
    """Return whether other places see at least half of what they watch, too, fail as well."""
    return found.seen_elsewhere > 0 and 2 * found.failing_elsewhere >= found.seen_elsewhere
