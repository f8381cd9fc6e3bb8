"""What the log says of the claims: changes, and what somebody has to mend."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from checker.sharding import SHARDS

if TYPE_CHECKING:
    from collections.abc import Collection

    from checker.status import Status
    from domain.storage.leases import Session, Standing

log = logging.getLogger("postwatch.checker")

OFFSET_SECONDS: Final = 2.0
"""A host's clock that is so wrong is told."""

STRANGE_SECONDS: Final = 5.0
"""A checker that is leaving, or just starting, is no stranger for longer."""


class LeaseReport:
    """Says each thing once, when it changes."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._away_since: float | None = None
        self._said: tuple[int, int] | None = None
        self._strangers: dict[int, float] = {}
        self._told: set[int] = set()
        self._countries: frozenset[str] = frozenset()
        self._is_offset = False

    def away(self, error: Exception) -> None:
        """Tell that nothing is ours, because the database cannot be reached."""
        self._status.shards_held = 0
        if self._away_since is None:
            self._away_since = trio.current_time()
            log.warning("cannot claim monitors, so none are checked from here: %s", error)

    def back(self) -> None:
        """Tell that the database is there again."""
        if self._away_since is not None:
            seconds = trio.current_time() - self._away_since
            self._away_since = None
            log.warning("can claim monitors again after %.1f s", seconds)

    def standing(self, standing: Standing, held: Collection[int]) -> None:
        """Tell what is ours, when that has changed, and what is wrong."""
        members = sum(each.is_member for each in standing.sessions)
        if (len(held), members) != self._said:
            self._said = (len(held), members)
            log.info(
                "%d of %d shards held; checkers that share them: %d", len(held), SHARDS, members
            )
        self._tell_strangers(standing)
        self._tell_countries(standing)
        self._tell_offset(self._status.clock_offset_seconds)

    def ended(self, session: Session, *, has_ended: bool) -> None:
        """Tell that a checker that was still was sent away, or could not be."""
        holder = session.beat.holder if session.beat else "a checker that never said who it is"
        if has_ended:
            log.warning(
                "%s was still for too long; its session %d is ended, its %d shards are free",
                *(holder, session.number, len(session.shards)),
            )
        elif session.number not in self._told:
            self._told.add(session.number)
            log.error(
                "%s is still and keeps %d shards, but we lack the right to end its session %d; "
                "let all checkers log in to the database as the same role, or end it by hand: "
                "SELECT pg_terminate_backend(%d)",
                *(holder, len(session.shards), session.number, session.number),
            )

    def _tell_strangers(self, standing: Standing) -> None:
        now = trio.current_time()
        strangers = [
            each
            for each in standing.sessions
            if each.shards and not each.is_member and not each.beat
        ]
        self._strangers = {each.number: self._strangers.get(each.number, now) for each in strangers}
        for each in strangers:
            if (
                now - self._strangers[each.number] >= STRANGE_SECONDS
                and each.number not in self._told
            ):
                self._told.add(each.number)
                log.error(
                    "session %d of the database holds shards %s of this location and is no "
                    "checker, so nobody checks their monitors; end it: "
                    "SELECT pg_terminate_backend(%d)",
                    *(each.number, ", ".join(map(str, sorted(each.shards))), each.number),
                )

    def _tell_countries(self, standing: Standing) -> None:
        countries: dict[str, list[str]] = {}
        for beat in (each.beat for each in standing.sessions if each.beat):
            countries.setdefault(beat.country or "no country", []).append(beat.holder)
        if countries.keys() != self._countries and len(countries) > 1:
            said = (f"{each} ({', '.join(sorted(countries[each]))})" for each in sorted(countries))
            log.error(
                "the checkers of this location do not agree where it is: %s; start all of "
                "them with the same --country, or POSTWATCH_COUNTRY",
                "; ".join(said),
            )
        elif len(countries) == 1 and len(self._countries) > 1:
            log.warning("the checkers of this location agree again: %s", *countries)
        self._countries = frozenset(countries)

    def _tell_offset(self, seconds: float) -> None:
        is_offset = abs(seconds) > OFFSET_SECONDS
        if is_offset and not self._is_offset:
            log.warning(
                "the clock of this host is %.1f s %s that of the database, which due times "
                "follow; let both be set by NTP",
                *(abs(seconds), "ahead of" if seconds > 0 else "behind"),
            )
        self._is_offset = is_offset
