"""Plans of messages about downtimes: to whom, when, and in which group.

A channel for people gets one message about all that is wrong on a server: a group begins with
the first alert and ends when all that the channel heard of is well. A channel for machines
gets each incident by itself. Everything here is decided from the state of now, so a restart
repairs itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alerting.policy.decided import Decided, Group
    from alerting.policy.facts import Channel, Channels, Timing, Windows
    from alerting.policy.votes import Watch
    from domain.alert_policy import AlertPolicy
    from domain.incident import Incident
    from domain.notification import NotificationKind


NEVER: Final = float("inf")
_MINUTE: Final = 60.0


class Message(NamedTuple):
    """A message to plan now."""

    channel: Channel
    group: str
    kind: NotificationKind
    incidents: tuple[Incident, ...]
    opened_by: str
    number: int
    reminder: int = 0


class Situation(NamedTuple):
    """An open incident, and until when and why nothing is told of it.

    `tell_from`: when it could be told, before any delay of a channel. `quiet_until`: a window,
    or the status `maintenance`, holds messages back until then.
    """

    incident: Incident
    watch: Watch
    tell_from: float
    quiet_until: float


@dataclass(frozen=True, slots=True)
class Notices:
    """Says what is to be told about the downtimes of one server now, and when to look again."""

    decided: Decided
    timing: Timing
    windows: Windows
    channels: Channels
    watches: dict[str, Watch]

    def due(self, server: str, now: float) -> tuple[list[Message], float]:
        """Return the messages that are due, and when the next one may be."""
        incidents = sorted(
            (self.decided.incidents[each] for each in self.decided.by_server.get(server, ())),
            key=lambda each: each.number,
        )
        situations = [self._situation(each, now) for each in incidents if each.is_open]
        messages: list[Message] = []
        wake = NEVER
        for channel, group, members in self._addressees(incidents):
            mine = [each for each in situations if each.incident in members]
            planner = _Planner(self, channel, group, now)
            planner.plan(members, mine)
            messages += planner.messages
            wake = min(wake, planner.wake)
        return messages, wake

    def is_quiet(self, watch: Watch, now: float) -> bool:
        """Return whether nothing is told of a monitor now."""
        return self._quiet_until(watch, now) > now

    def _addressees(
        self, incidents: Sequence[Incident]
    ) -> Iterable[tuple[Channel, str, list[Incident]]]:
        """Yield each channel with the name of a group and the incidents in it."""
        found: dict[tuple[str, str], tuple[Channel, str, list[Incident]]] = {}
        for incident in incidents:
            for channel in self.channels.of(incident.subject):
                group = incident.server if channel.for_people else str(incident.id)
                found.setdefault((channel.channel_id, group), (channel, group, []))[2].append(
                    incident
                )
        return found.values()

    def _situation(self, incident: Incident, now: float) -> Situation:
        watch = self.watches[incident.subject]
        tell_from = incident.alert_from.timestamp()
        quiet_until = self._quiet_until(watch, now)
        if incident.held and not self.decided.was_told(incident.id):
            tell_from = max(tell_from, self._released_at(watch, now))
        return Situation(incident, watch, tell_from, quiet_until)

    def _quiet_until(self, watch: Watch, now: float) -> float:
        if watch.monitor.status == "maintenance":
            return NEVER
        return self.windows.open_until(watch.monitor.monitor_id, now) or float("-inf")

    def _released_at(self, watch: Watch, now: float) -> float:
        """Return when a held incident may be told: by a check made after the window, if any."""
        end = self.windows.last_end(watch.monitor.monitor_id, now)
        after = [
            moment for place in watch.places.values() for moment in place.failed_at if moment > end
        ]
        return min(after, default=end + watch.monitor.vouch_seconds)


class _Planner:
    """The messages of one channel about one group."""

    def __init__(self, notices: Notices, channel: Channel, name: str, now: float) -> None:
        self._notices = notices
        self._decided = notices.decided
        self._channel = channel
        self._name = name
        self._now = now
        self._group = self._decided.groups.get((channel.channel_id, name))
        interval = notices.timing.group_interval if channel.for_people else 0.0
        self._next_at = self._group.last_at + interval if self._group else float("-inf")
        self.messages: list[Message] = []
        self.wake = NEVER

    def plan(self, incidents: Sequence[Incident], situations: Sequence[Situation]) -> None:
        """Plan what is due; `wake` says when to look again."""
        self._plan_ends(incidents)
        told = [each for each in situations if not each.incident.is_unstable]
        self._plan_unstable([each for each in situations if each.incident.is_unstable])
        self._plan_alerts([each for each in told if not self._has_heard(each.incident)])
        self._plan_reminder([each for each in told if self._has_heard(each.incident)])

    def _has_heard(self, incident: Incident) -> bool:
        told = self._decided.told(incident.id, self._channel.channel_id)
        return told.generation >= incident.generation

    def _plan_ends(self, incidents: Sequence[Incident]) -> None:
        """Plan recoveries: at once when all that it heard of is well, else with the next."""
        heard = [
            each
            for each in incidents
            if self._decided.told(each.id, self._channel.channel_id).is_outstanding
        ]
        closed = [each for each in heard if each.state == "closed"]
        well = [each for each in heard if each.state == "resolved" and not each.is_unstable]
        if closed:
            self._add("closed", closed)
        if well and self._is_due(self._now if len(well) + len(closed) == len(heard) else None):
            self._add("recovery", well)

    def _plan_unstable(self, situations: Sequence[Situation]) -> None:
        chosen = []
        for each in situations:
            told = self._decided.told(each.incident.id, self._channel.channel_id)
            due = max(each.tell_from, each.quiet_until)
            if not told.generation:
                due = max(due, each.tell_from + self._channel.wait_seconds)
            if not told.knows_unstable and self._is_due(due):
                chosen.append(each.incident)
        if chosen:
            self._add("unstable", chosen)

    def _plan_alerts(self, situations: Sequence[Situation]) -> None:
        """Plan an alert of all that is wrong by now, if one of them has waited long enough."""
        waiting = [each for each in situations if each.incident.acknowledged_at is None]
        is_due = False
        ready = []
        for each in waiting:
            due = max(each.tell_from + self._channel.wait_seconds, each.quiet_until)
            if due <= self._now:
                ready.append(each.incident)
            is_due |= self._is_due(max(due, self._first_message_at(each)))
        if is_due:
            self._add("alert", ready)

    def _first_message_at(self, situation: Situation) -> float:
        """Return when the group has waited for others of the same server."""
        if self._group is not None:
            return self._next_at
        wait = situation.watch.monitor.policy.group_wait_seconds if self._channel.for_people else 0
        return situation.tell_from + wait

    def _plan_reminder(self, situations: Sequence[Situation]) -> None:
        if self._group is None:
            return
        ready = []
        for each in situations:
            due = self._reminder_at(self._group, each.watch.monitor.policy)
            is_wanted = each.incident.acknowledged_at is None
            if is_wanted and self._is_due(max(due, each.quiet_until)):
                ready.append(each.incident)
        if ready:
            self._add("reminder", ready, reminder=self._group.reminders + 1)

    @staticmethod
    def _reminder_at(group: Group, policy: AlertPolicy) -> float:
        interval = policy.reminder_interval_minutes
        if group.reminders == 0 and policy.reminder_delay_minutes:
            interval = policy.reminder_delay_minutes
        return group.reminded_at + interval * _MINUTE if interval else NEVER

    def _is_due(self, moment: float | None) -> bool:
        """Return whether a moment has come, else look again then. None: the next message."""
        due = self._next_at if moment is None else moment
        if due <= self._now:
            return True
        self.wake = min(self.wake, due)
        return False

    def _add(
        self, kind: NotificationKind, incidents: Sequence[Incident], *, reminder: int = 0
    ) -> None:
        first = f"{incidents[0].id}/{incidents[0].generation}"
        opened_by = self._group.opened_by if self._group else first
        number = (self._group.messages if self._group else 0) + len(self.messages) + 1
        self.messages.append(
            Message(self._channel, self._name, kind, tuple(incidents), opened_by, number, reminder)
        )
