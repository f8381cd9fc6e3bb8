"""The policy: takes facts in their order, and decides what to record.

At one moment facts come before deadlines, so a recovery beats its reminder. Everything but the
streaks is decided from the state of now ("open and the monitor is disabled: close"), so what a
stopped process left undone is done by the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alerting.policy.deadlines import Deadlines
from alerting.policy.decided import Decided
from alerting.policy.decisions import Decisions
from alerting.policy.facts import Timing
from alerting.policy.judges import Judges
from alerting.policy.notices import NEVER, Notices
from alerting.policy.streaks import count, judge
from alerting.policy.suspicion import Suspicions
from alerting.policy.votes import Watch

if TYPE_CHECKING:
    from alerting.policy.deadlines import Deadline
    from alerting.policy.facts import Canaries, Channels, Check, MonitorSettings, Windows
    from alerting.policy.streaks import Place
    from alerting.policy.suspicion import Change


class Policy:
    """Holds what facts say and what was decided; `take` gives the new decisions.

    Until `resume` it only counts: that is how a restart reads facts that were decided on.
    """

    def __init__(self, windows: Windows, channels: Channels, timing: Timing | None = None) -> None:
        self.timing = timing or Timing()
        self.now = float("-inf")
        self.watches: dict[str, Watch] = {}
        self.decided = Decided(self.timing)
        self._suspicions = Suspicions(self.timing)
        self._deadlines = Deadlines()
        notices = Notices(self.decided, self.timing, windows, channels, self.watches)
        self._notices = notices
        self._decisions = Decisions(self.decided)
        self._judges = Judges(notices, self._suspicions, self._decisions, channels)
        self._failing_at: dict[str, set[str]] = {}
        self._is_deciding = False

    def take(self) -> list[Any]:
        """Return the events decided since the last call."""
        return self._decisions.take()

    def resume(self, now: float) -> None:
        """Begin to decide: close what nobody watches any more, and set all deadlines."""
        self.now = max(self.now, now)
        self._is_deciding = True
        for incident in [each for each in self.decided.incidents.values() if each.is_open]:
            watch = self.watches.get(incident.subject)
            if incident.type != "location" and watch is None:
                self._decisions.close(incident, "deleted", self.now)
            elif watch is not None and watch.monitor.status == "disabled":
                self._decisions.close(incident, "disabled", self.now)
        for incident in list(self.decided.incidents.values()):
            self._watch_steadiness(incident.id.hex)
        for watch in self.watches.values():
            self._watch_silence(watch)
        for location in self._suspicions.locations():
            self._watch_location(location)
        for server in self.decided.by_server:
            self._deadlines.add(self.now, "server", server)

    # Facts.

    def note_check(self, check: Check, now: float) -> None:
        """Take a check that arrives now."""
        self._begin(now)
        watch = self.watches.get(check.monitor_id)
        if watch is None or check.location not in watch.monitor.locations:
            return
        place = watch.place(check.location)
        judgement = judge(check, place, watch.monitor, self.now)
        if judgement == "repeated":
            return
        place.version = check.version
        if judgement != "counted":
            return
        count(check, place, watch.monitor, self.now)
        watch.seen = max(watch.seen, place.finished)
        if check.is_good and check.address:
            watch.server = check.address
        self._note_failing(check.monitor_id, check.location, is_failing=place.is_failing)
        changes = self._suspicions.note_check(watch, check.location, self.now)
        if self._is_deciding:
            self._decide(watch, place, changes)

    def note_canaries(self, canaries: Canaries, now: float) -> None:
        """Take a round of canaries."""
        self._begin(now)
        changes = self._suspicions.note_canaries(canaries, self.now)
        if self._is_deciding:
            self._judge_trust(changes)
            self._plan()

    def note_monitor(self, monitor: MonitorSettings, now: float) -> None:
        """Take a new monitor, or the new settings of one."""
        self._begin(now)
        watch = self.watches.get(monitor.monitor_id)
        if watch is None:
            watch = self.watches[monitor.monitor_id] = Watch(monitor, monitor.hostname)
        elif watch.monitor.since != monitor.since:
            self._forget(watch)
        if watch.monitor.hostname != monitor.hostname:
            watch.server = monitor.hostname
        watch.monitor = monitor
        if not self._is_deciding:
            return
        if monitor.status == "disabled":
            self._close_all(monitor.monitor_id, "disabled")
        else:
            self._judges.judge_downtime(watch, self.now, may_open=False)
            self._look_at_silence(watch)
        self._plan()

    def note_removed(self, monitor_id: str, now: float) -> None:
        """Take the deletion of a monitor."""
        self._begin(now)
        watch = self.watches.get(monitor_id)
        if watch is None:
            return
        self._forget(watch)
        if self._is_deciding:
            self._close_all(monitor_id, "deleted")
            self._plan()
        del self.watches[monitor_id]

    def note_decision(self, event: Any, now: float) -> None:  # noqa: ANN401 - any event of the log
        """Take an event of the `incidents` log: of the past, or what a person decided."""
        self._begin(now)
        self.decided.fold(event)
        if self._is_deciding:
            self._plan_all()

    def note_plans_changed(self, now: float) -> None:
        """Take that windows or channels changed."""
        self._begin(now)
        if self._is_deciding:
            self._plan_all()

    # Time.

    def next_deadline(self) -> float:
        """Return when the policy wants to look again, infinity for never."""
        return self._deadlines.next_at()

    def advance(self, until: float, *, inclusive: bool = True) -> None:
        """Look at everything whose deadline comes up to a moment, each at its time."""
        while self._is_deciding:
            moment = self._deadlines.next_at()
            if moment > until or (moment == until and not inclusive):
                break
            moment, deadline = self._deadlines.pop()
            self.now = max(self.now, moment)
            self._look(deadline, moment)
        self.now = max(self.now, until) if until != NEVER else self.now

    def _begin(self, now: float) -> None:
        self.advance(now, inclusive=False)

    def _look(self, deadline: Deadline, moment: float) -> None:
        topic, key = deadline
        match topic:
            case "unwatched":
                if key in self.watches:
                    self._look_at_silence(self.watches[key])
            case "steady":
                self._look_at_steadiness(key)
            case "location":
                self._look_at_location(key, moment)
            case "server":
                self._decisions.servers.add(key)
        self._plan()

    # Decisions.

    def _decide(self, watch: Watch, place: Place, changes: list[tuple[str, Change]]) -> None:
        """Decide what follows from a check."""
        monitor_id, judges = watch.monitor.monitor_id, self._judges
        self._judge_trust(changes)
        if self._decisions.resolve(monitor_id, "unwatched", self.now):
            self._watch_silence(watch)
        if place.own_fault or self.decided.open_incident(monitor_id, "configuration"):
            judges.judge_configuration(watch, self.now)
        if place.is_failing or self.decided.open_incident(monitor_id, "downtime"):
            self._judge_downtime(watch)
        if place.certificate is not None:
            judges.judge_certificate(watch, self.now)
        if place.is_slow or self.decided.open_incident(monitor_id, "performance"):
            judges.judge_speed(watch, self.now)
        self._plan()

    def _judge_downtime(self, watch: Watch) -> None:
        incident = self._judges.judge_downtime(watch, self.now, may_open=True)
        if incident is not None:
            self._watch_steadiness(incident.id.hex)

    def _judge_trust(self, changes: list[tuple[str, Change]]) -> None:
        for location, change in changes:
            if change == "suspected":
                self._watch_location(location)
            elif change in ("confirmed", "recovered"):
                self._decisions.resolve(location, "location", self.now)
                for monitor_id in sorted(self._failing_at.get(location, ())):
                    self._judge_downtime(self.watches[monitor_id])

    def _look_at_silence(self, watch: Watch) -> None:
        due = self._judges.judge_silence(watch, self.now)
        self._deadlines.add(due, "unwatched", watch.monitor.monitor_id)

    def _watch_silence(self, watch: Watch) -> None:
        self._deadlines.add(self._judges.silent_at(watch), "unwatched", watch.monitor.monitor_id)

    def _look_at_steadiness(self, incident_hex: str) -> None:
        self._judges.judge_steadiness(incident_hex, self.now)
        self._watch_steadiness(incident_hex)

    def _watch_steadiness(self, incident_hex: str) -> None:
        due = self._judges.steady_at(incident_hex)
        self._deadlines.add(due, "steady", incident_hex)

    def _watch_location(self, location: str) -> None:
        since = self._suspicions.suspect_since(location)
        if since is None:
            return
        self._deadlines.add(since + self.timing.suspicion_notice_after, "location", location)

    def _look_at_location(self, location: str, moment: float) -> None:
        since = self._suspicions.suspect_since(location)
        if since is None:
            return
        incident = self._judges.judge_location(location, since, self.now)
        # Not `now`: facts of this moment may still come before the deadline of the hold.
        if moment < since + self.timing.suspicion_hold:
            self._deadlines.add(since + self.timing.suspicion_hold, "location", location)
            return
        self._suspicions.release(location)
        seen_from_there_only = [
            self.watches[each]
            for each in sorted(self._failing_at.get(location, ()))
            if self._judges.is_seen_only_from(self.watches[each], location, self.now)
        ]
        if seen_from_there_only:
            self._decisions.release(incident, self.now)
        for watch in seen_from_there_only:
            self._judge_downtime(watch)

    def _close_all(self, monitor_id: str, reason: Any) -> None:  # noqa: ANN401 - a CloseReason
        for incident in self.decided.open_incidents(monitor_id):
            self._decisions.close(incident, reason, self.now)

    def _plan_all(self) -> None:
        self._decisions.servers.update(self.decided.by_server)
        self._plan()

    def _plan(self) -> None:
        """Plan the messages of the servers about which something changed."""
        servers = self._decisions.servers
        while servers:
            server = servers.pop()
            messages, wake = self._notices.due(server, self.now)
            while messages:
                self._decisions.plan(messages, self.now)
                messages, wake = self._notices.due(server, self.now)
            self._deadlines.add(wake, "server", server)

    # Evidence.

    def _note_failing(self, monitor_id: str, location: str, *, is_failing: bool) -> None:
        if is_failing:
            self._failing_at.setdefault(location, set()).add(monitor_id)
        elif location in self._failing_at:
            self._failing_at[location].discard(monitor_id)

    def _forget(self, watch: Watch) -> None:
        """Begin to count anew: the target changed, or nobody looked meanwhile."""
        self._suspicions.forget(watch)
        for location, place in watch.places.items():
            place.forget()
            self._note_failing(watch.monitor.monitor_id, location, is_failing=False)
        watch.seen = float("-inf")
