"""Votes of locations: how many see a failure, and how many must see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from alerting.policy.streaks import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alerting.policy.facts import MonitorSettings
    from alerting.policy.suspicion import Suspicions
    from domain.alert_policy import AlertPolicy


@dataclass(slots=True)
class Watch:
    """A monitor and what its places say.

    `server` is the address that answered the last good check, else the host name. `seen` is the
    end of the newest check that counts, from anywhere.
    """

    monitor: MonitorSettings
    server: str = ""
    seen: float = float("-inf")
    places: dict[str, Place] = field(default_factory=dict)

    def place(self, location: str) -> Place:
        """Return what a location says, made if it said nothing yet."""
        found = self.places.get(location)
        if found is None:
            found = self.places[location] = Place()
        return found

    def eligible(self) -> Iterator[tuple[str, Place | None]]:
        """Yield the locations that may check it, each with what it says."""
        for location in self.monitor.locations:
            yield location, self.places.get(location)

    def is_silent(self, place: Place | None, now: float) -> bool:
        """Return whether the last check of a place does not count any more."""
        last = max(self.monitor.since, place.finished if place else float("-inf"))
        return last + self.monitor.vouch_seconds <= now


class Votes(NamedTuple):
    """The result of a vote.

    `failing` are the voters that fail. `failing_anywhere` also counts places that are silent
    or not trusted. `good` are the voters for which the server is up.
    """

    voters: int
    threshold: int
    failing: tuple[str, ...]
    failing_anywhere: int
    good: tuple[str, ...]


def threshold_of(policy: AlertPolicy, voters: int) -> int:
    """Return how many of some voters must fail."""
    match policy.location_threshold:
        case "any":
            needed = 1
        case "majority":
            needed = voters // 2 + 1
        case "all":
            needed = voters
        case "count":
            needed = min(policy.location_count, voters)
    return max(needed, 1)


def take_votes(
    watch: Watch, suspicions: Suspicions, now: float, closed_at: float | None = None
) -> Votes:
    """Count the votes on a monitor.

    `closed_at`: when a person closed its last incident; failures before that do not count.
    """
    trusted = {each for each in watch.monitor.locations if suspicions.is_trusted(each)}
    speaking = {location for location, place in watch.eligible() if not watch.is_silent(place, now)}
    voters = [
        location
        for location in watch.monitor.locations
        if location in speaking
        and (
            location in trusted
            # What a place sees that is suspect for long counts where no other place looks.
            or (suspicions.is_released(location) and not trusted & speaking)
        )
    ]
    failing = [
        location
        for location in voters
        if _is_failing(watch, location, closed_at)
        and watch.places[location].finished >= suspicions.counts_from(location)
    ]
    anywhere = sum(_is_failing(watch, each, closed_at) for each in watch.monitor.locations)
    good = [each for each in voters if each in watch.places and watch.places[each].is_good]
    threshold = threshold_of(watch.monitor.policy, len(voters))
    return Votes(len(voters), threshold, tuple(failing), anywhere, tuple(good))


def _is_failing(watch: Watch, location: str, closed_at: float | None) -> bool:
    place = watch.places.get(location)
    if place is None or not place.is_failing:
        return False
    return closed_at is None or place.has_failed_since(
        closed_at, watch.monitor.policy.consecutive_checks
    )
