"""One judge for each type of incident: whether it begins, goes on or ends now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from alerting.policy.certificates import expiry_of
from alerting.policy.decisions import ALERTING, moment_of
from alerting.policy.notices import NEVER
from alerting.policy.votes import take_votes, threshold_of
from domain.clock import iso_milliseconds

if TYPE_CHECKING:
    from alerting.policy.decisions import Decisions
    from alerting.policy.facts import Channels
    from alerting.policy.notices import Notices
    from alerting.policy.suspicion import Suspicions
    from alerting.policy.votes import Votes, Watch
    from domain.incident import Incident


class Judges:
    """Decides from the state of now. Each judge may be called at any time, also twice."""

    def __init__(
        self,
        notices: Notices,
        suspicions: Suspicions,
        decisions: Decisions,
        channels: Channels,
    ) -> None:
        self._notices = notices
        self._decided = notices.decided
        self._timing = notices.timing
        self._suspicions = suspicions
        self._decisions = decisions
        self._channels = channels

    # Downtime.

    def judge_downtime(self, watch: Watch, now: float, *, may_open: bool) -> Incident | None:
        """Open, reopen or resolve the downtime of a monitor; return its newest, if any.

        Silence neither opens nor ends one. `may_open`: a check, or the trust in a location,
        gives a reason to open one.
        """
        newest = self._decided.newest.get((watch.monitor.monitor_id, "downtime"))
        closed_at = None
        if newest is not None and newest.close_reason == "by_hand" and newest.ended_at:
            closed_at = newest.ended_at.timestamp()
        votes = take_votes(watch, self._suspicions, now, closed_at)
        if newest is not None and newest.is_open:
            if votes.failing_anywhere < votes.threshold and votes.good:
                good = _evidence(watch, votes.good)
                self._decisions.resolve(newest.subject, "downtime", now, good)
            elif newest.held and not self._decided.was_told(newest.id):
                self._decisions.servers.add(newest.server)
        elif (
            may_open and watch.monitor.status == "active" and len(votes.failing) >= votes.threshold
        ):
            newest = self._open_downtime(watch, votes, newest, now)
        return newest

    def _open_downtime(
        self, watch: Watch, votes: Votes, newest: Incident | None, now: float
    ) -> Incident:
        moment = moment_of(now)
        started = min(watch.places[each].first_failed_at for each in votes.failing)
        fields: dict[str, Any] = {
            "outage_started_at": iso_milliseconds(moment_of(started)),
            "rests_on": _evidence(watch, votes.failing),
            "voters": votes.voters,
            "threshold": votes.threshold,
            "held": self._notices.is_quiet(watch, now),
        }
        if newest is not None and self._is_same(newest, now):
            newest.reopen(fields=fields, actor=ALERTING, now=moment)
            self._decisions.note(newest)
        else:
            last = max(votes.failing, key=lambda each: (watch.places[each].finished, each))
            evidence = f"{last}/{watch.places[last].version}"
            newest = self._decisions.open(
                watch.monitor.monitor_id, "downtime", evidence, now, watch=watch, **fields
            )
        openings = self._decided.openings(newest.subject, "downtime", now)
        if openings >= self._timing.flapping_openings and not newest.is_unstable:
            newest.become_unstable(openings, actor=ALERTING, now=moment)
            self._decisions.note(newest)
        return newest

    def _is_same(self, newest: Incident, now: float) -> bool:
        """Return whether a new confirmation belongs to a resolved incident."""
        if newest.state != "resolved" or newest.ended_at is None:
            return False
        return newest.is_unstable or (
            now - newest.ended_at.timestamp() <= self._timing.reopen_within
        )

    # Flapping.

    def steady_at(self, incident_hex: str) -> float:
        """Return when an unstable incident becomes steady if nothing changes; else never."""
        incident = self._decided.incidents.get(UUID(incident_hex))
        if incident is None or not incident.is_unstable:
            return NEVER
        return incident.changed_at.timestamp() + self._timing.steady_after

    def judge_steadiness(self, incident_hex: str, now: float) -> None:
        """Call an incident steady that has not changed for long."""
        if self.steady_at(incident_hex) <= now:
            incident = self._decided.incidents[UUID(incident_hex)]
            incident.become_steady(actor=ALERTING, now=moment_of(now))
            self._decisions.note(incident)

    # Configuration.

    def judge_configuration(self, watch: Watch, now: float) -> None:
        """Open or end an incident about a fault of the configuration; tell the owner once."""
        subject = watch.monitor.monitor_id
        faulty = tuple(
            location for location, place in watch.eligible() if place and place.own_fault
        )
        if not faulty:
            self._decisions.resolve(subject, "configuration", now)
            return
        incident = self._decided.open_incident(subject, "configuration")
        if incident is None:
            evidence = f"{faulty[0]}/{watch.places[faulty[0]].version}"
            incident = self._decisions.open(
                subject, "configuration", evidence, now, watch=watch,
                rests_on=_evidence(watch, faulty),
            )  # fmt: skip
        self._tell_once(incident, watch, "configuration", now, what="", level=None)

    # Certificates.

    def judge_certificate(self, watch: Watch, now: float) -> None:
        """Open or end an incident about the end of a certificate; tell each level once."""
        subject = watch.monitor.monitor_id
        expiry = expiry_of(watch, now)
        if expiry is None:
            self._decisions.resolve(subject, "ssl_expiry", now)
            return
        incident = self._decided.open_incident(subject, "ssl_expiry")
        if incident is None:
            evidence = f"{expiry.fingerprint}/{watch.seen}"
            incident = self._decisions.open(subject, "ssl_expiry", evidence, now, watch=watch)
        what = f"{expiry.fingerprint}/{expiry.level}"
        self._tell_once(incident, watch, "certificate", now, what=what, level=expiry.level)

    # Performance.

    def judge_speed(self, watch: Watch, now: float) -> None:
        """Open or end an incident about slow answers."""
        slow = tuple(location for location, place in watch.eligible() if place and place.is_slow)
        subject = watch.monitor.monitor_id
        if not slow:
            self._decisions.resolve(subject, "performance", now)
            return
        speaking = sum(not watch.is_silent(place, now) for _, place in watch.eligible())
        is_slow = len(slow) >= threshold_of(watch.monitor.policy, speaking)
        if is_slow and self._decided.open_incident(subject, "performance") is None:
            evidence = f"{slow[0]}/{watch.places[slow[0]].version}"
            self._decisions.open(
                subject, "performance", evidence, now, watch=watch,
                rests_on=_evidence(watch, slow),
            )  # fmt: skip

    # Silence.

    def silent_at(self, watch: Watch) -> float:
        """Return when nobody has checked a monitor for too long, if no check comes."""
        monitor = watch.monitor
        after = self._timing.unwatched_after
        if after is None or monitor.status == "disabled":
            return NEVER
        if not monitor.locations:
            return float("-inf")
        last = max(watch.seen, monitor.since)
        return last + monitor.vouch_seconds + max(monitor.interval_seconds, after)

    def judge_silence(self, watch: Watch, now: float) -> float:
        """Open an incident about a monitor that nobody checks; return when to look again."""
        due = self.silent_at(watch)
        if due > now:
            return due
        subject = watch.monitor.monitor_id
        if self._decided.open_incident(subject, "unwatched") is None:
            last = max(watch.seen, watch.monitor.since)
            evidence = f"{watch.monitor.checked_version}/{last}"
            self._decisions.open(subject, "unwatched", evidence, now, watch=watch)
        return NEVER

    # Locations.

    def judge_location(self, location: str, since: float, now: float) -> Incident | None:
        """Open an incident about a location that is suspect for some time; return it."""
        incident = self._decided.open_incident(location, "location")
        if incident is None and now >= since + self._timing.suspicion_notice_after:
            failing, watched, servers = self._suspicions.share(location)
            evidence = [{"location": location, "failing": failing, "watched": watched}]
            incident = self._decisions.open(
                location, "location", str(since), now,
                outage_started_at=iso_milliseconds(moment_of(since)),
                rests_on=evidence, voters=watched, threshold=servers,
            )  # fmt: skip
        return incident

    def is_seen_only_from(self, watch: Watch, location: str, now: float) -> bool:
        """Return whether no other location that is trusted and speaks watches a monitor."""
        return not any(
            self._suspicions.is_trusted(other) and not watch.is_silent(place, now)
            for other, place in watch.eligible()
            if other != location
        )

    def _tell_once(
        self,
        incident: Incident,
        watch: Watch,
        kind: str,
        now: float,
        *,
        what: str,
        level: int | None,
    ) -> None:
        if self._notices.is_quiet(watch, now):
            return
        for channel in self._channels.of(incident.subject):
            self._decisions.plan_once(incident, channel, kind, now, what=what, level=level)


def _evidence(watch: Watch, locations: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the deciding check of each of some locations, as events hold it."""
    return [
        {
            "location": each,
            "version": watch.places[each].version,
            "category": watch.places[each].category,
        }
        for each in locations
    ]
