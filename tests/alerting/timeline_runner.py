"""Runs a timeline through the policy, and writes what it decided in the words of the timeline."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from alerting.policy.decisions import moment_of
from alerting.policy.facts import Canaries, Certificate, Channel, Check, MonitorSettings, Timing
from alerting.policy.policy import Policy
from domain.actor import operator
from domain.alert_policy import AlertPolicy
from domain.incident import Incident
from domain.notification import Notification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from eventsourcing.domain import DomainEvent

    from tests.alerting.timelines import Timeline


BASE: Final = 1_800_000_000.0
"""Second 0 of the timelines."""

DAY: Final = 86_400.0
_CHECK: Final = re.compile(
    r"(?P<end>[\dd]+)(?P<verdict>[+-])(\((?P<category>\w+)\))?(?P<postponed>~)?"
    r"(@(?P<arrived>\d+))?(<(?P<began>\d+))?(/(?P<ms>\d+)ms)?(/(?P<days>\d+)d)?"
)
_CONTROL: Final = re.compile(r"(?P<what>\w+)(\[(?P<where>\w+)\])?!(?P<at>[\dd]+)(?P<verdict>[+-])?")
_CHANNEL: Final = re.compile(r"(?P<name>[a-z]+)(\+(?P<delay>\d+))?( min(?P<least>\d+))?")


def seconds(text: str) -> float:
    """Return the seconds of `300`, `6d` or `19d300`."""
    days, _, rest = text.rpartition("d")
    return float(days or 0) * DAY + float(rest or 0)


class Fact(NamedTuple):
    """Something that happens at a time: a check of a monitor, or a change."""

    at: float
    monitor: str
    what: str
    where: str
    check: Check | None = None
    began: float = 0.0


@dataclass
class Windows:
    """Maintenance windows of all monitors, which a test may cancel."""

    spans: list[tuple[float, float]] = field(default_factory=list)

    def open_until(self, monitor_id: str, now: float) -> float | None:
        del monitor_id
        end = None
        moment = now
        while opened := [last for first, last in self.spans if first <= moment < last]:
            end = moment = max(opened)
        return end

    def last_end(self, monitor_id: str, now: float) -> float:
        del monitor_id
        return max((last for _, last in self.spans if last <= now), default=float("-inf"))

    def cancel(self, now: float) -> None:
        self.spans = [(first, min(last, now)) for first, last in self.spans]


@dataclass
class Channels:
    """The same channels for every monitor."""

    channels: Sequence[Channel] = (Channel("c"),)

    def of(self, monitor_id: str) -> Sequence[Channel]:
        del monitor_id
        return self.channels


class Setup(NamedTuple):
    """The settings of a timeline."""

    policy: AlertPolicy
    timing: Timing
    windows: tuple[tuple[float, float], ...]
    channels: Channels
    interval: float
    servers: str


def setup_of(text: str) -> Setup:
    """Read the settings of a timeline."""
    setup = Setup(
        AlertPolicy(location_threshold="any", group_wait_seconds=0),
        Timing(unwatched_after=None),
        (),
        Channels(),
        300.0,
        "one",
    )
    for name, value in _settings(text):
        if name in _POLICY:
            policy = replace(setup.policy, **_POLICY[name](value))
            setup = setup._replace(policy=policy)
        elif name in _TIMING:
            changed: dict[str, Any] = {_TIMING[name]: float(value)}
            timing = replace(setup.timing, **changed)
            setup = setup._replace(timing=timing)
        else:
            setup = setup._replace(**_OTHERS[name](value))
    return setup


def _threshold(text: str) -> dict[str, Any]:
    if text.isdigit():
        return {"location_threshold": "count", "location_count": int(text)}
    return {"location_threshold": text}


def _windows(text: str) -> dict[str, Any]:
    spans = (each.split("-") for each in text.split(","))
    return {"windows": tuple((BASE + float(a), BASE + float(b)) for a, b in spans)}


_POLICY: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "k": lambda text: {"consecutive_checks": int(text)},
    "r": lambda text: {"recovery_checks": int(text)},
    "thr": _threshold,
    "gw": lambda text: {"group_wait_seconds": int(text)},
    "perf": lambda text: {"performance_threshold_ms": int(text)},
}
_TIMING: Final = {"hold": "suspicion_hold", "unw": "unwatched_after"}
_OTHERS: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "I": lambda text: {"interval": float(text)},
    "servers": lambda text: {"servers": text},
    "win": _windows,
    "ch": lambda text: {"channels": Channels([_channel(each) for each in text.split(",")])},
}


def _settings(text: str) -> Iterator[tuple[str, str]]:
    for each in re.findall(r"(\w+)=([\w.]+)|(win|ch) ([^ =]+(?: min\d+)?)(?:, |$)", text):
        yield (each[0] or each[2], (each[1] or each[3]).strip(","))


def _channel(text: str) -> Channel:
    match = _CHANNEL.fullmatch(text)
    assert match, text
    return Channel(
        match["name"],
        delay_seconds=float(match["delay"] or 0),
        least_seconds=float(match["least"] or 0),
    )


def facts_of(text: str) -> list[Fact]:
    """Read the facts of a timeline, in the order of their arrival."""
    facts: list[Fact] = []
    versions: dict[tuple[str, str], int] = {}
    for part in text.split(" ; "):
        head, _, tail = part.rpartition(": ")
        if not head:
            facts += [_control(each) for each in part.split()]
            continue
        monitors, _, location = head.rpartition(".")
        for monitor in _names(monitors or "m1"):
            checks = [_check(each, monitor, location) for each in tail.split()]
            for fact in sorted(checks, key=lambda each: each.at):
                version = versions[monitor, location] = versions.get((monitor, location), 0) + 1
                assert fact.check
                facts.append(fact._replace(check=fact.check._replace(version=version)))
    return sorted(facts, key=lambda each: each.at)


def _names(text: str) -> list[str]:
    if "-" not in text:
        return [text]
    first, last = (int(each[1:]) for each in text.split("-"))
    return [f"m{number}" for number in range(first, last + 1)]


def _check(text: str, monitor: str, location: str) -> Fact:
    match = _CHECK.fullmatch(text)
    assert match, text
    finished = BASE + seconds(match["end"])
    arrived = BASE + float(match["arrived"]) if match["arrived"] else finished
    certificate = None
    if match["days"]:
        days = int(match["days"])
        ends = finished + days * DAY
        name = f"valid until day {(seconds(match['end']) + days * DAY) // DAY:.0f}"
        certificate = Certificate(name, ends - 90 * DAY, ends)
    check = Check(
        monitor,
        location,
        0,
        0,
        finished,
        match["category"] or ("ok" if match["verdict"] == "+" else "timeout"),
        login_postponed=bool(match["postponed"]),
        total_ms=float(match["ms"]) if match["ms"] else None,
        certificate=certificate,
    )
    began = BASE + float(match["began"]) if match["began"] else finished
    return Fact(arrived, monitor, "check", location, check, began)


def _control(text: str) -> Fact:
    match = _CONTROL.fullmatch(text)
    assert match, text
    what = match["what"] + (match["verdict"] or "")
    return Fact(BASE + seconds(match["at"]), "m1", what, match["where"] or "")


class Run:
    """A policy, the log of what it decided, and everything that it was told."""

    def __init__(self, timeline: Timeline) -> None:
        self.setup = setup_of(timeline.settings)
        self.end = BASE + seconds(timeline.end)
        self.facts = [each for each in facts_of(timeline.facts) if each.at <= self.end]
        self.named = bool(re.search(r"\bm\d", timeline.facts))
        self.log: list[Any] = []
        checks = [each for each in self.facts if each.check]
        self.monitors = sorted({each.monitor for each in checks})
        self.locations = tuple(sorted({each.where for each in checks}))
        self._edits = [each.at for each in self.facts if each.what == "edit"]
        self.windows, self.settings = self._fresh_surroundings()
        self.policy = self._begin()
        self.policy.resume(BASE)

    def play(
        self, *, copies: int = 1, after_each: Callable[[Run, int], None] | None = None
    ) -> list[str]:
        """Tell all facts, each `copies` times; return what was decided."""
        for number, fact in enumerate(self.facts, 1):
            for _ in range(copies):
                self.tell(self.policy, fact)
                self.log += self.policy.take()
            if after_each is not None:
                after_each(self, number)
        self.policy.advance(self.end)
        self.log += self.policy.take()
        return sorted(self.words())

    def restart(self, number: int) -> None:
        """Replace the policy with one that knows the log and the first facts only."""
        self.windows, self.settings = self._fresh_surroundings()
        self.policy = self._begin()
        for event in self.log:
            self.policy.decided.fold(event)
        for fact in self.facts[:number]:
            if not fact.what.startswith("ack"):
                self.tell(self.policy, fact)
        self.policy.resume(self.facts[number - 1].at)
        self.log += self.policy.take()

    def _fresh_surroundings(self) -> tuple[Windows, dict[str, MonitorSettings]]:
        settings = {
            each: MonitorSettings(
                monitor_id=each,
                organization_id="o",
                customer_id="k",
                hostname=self._server(each),
                status="active",
                interval_seconds=self.setup.interval,
                timeout_seconds=30.0,
                since=BASE,
                locations=self.locations,
                policy=self.setup.policy,
            )
            for each in self.monitors
        }
        return Windows(list(self.setup.windows)), settings

    def _begin(self) -> Policy:
        policy = Policy(self.windows, self.setup.channels, self.setup.timing)
        for each in self.settings.values():
            policy.note_monitor(each, BASE)
        return policy

    def _server(self, monitor: str) -> str:
        number = int(monitor[1:])
        return {"one": "s", "own": f"s{number}", "pairs": f"s{(number + 1) // 2}"}[
            self.setup.servers
        ]

    def tell(self, policy: Policy, fact: Fact) -> None:
        """Tell one fact to a policy."""
        if fact.check is not None:
            edits = sum(each <= fact.began for each in self._edits)
            check = fact.check._replace(
                monitor_version=1 + edits,
                address=self._server(fact.monitor) if fact.check.category == "ok" else None,
            )
            policy.note_check(check, fact.at)
        elif fact.what.startswith("canary"):
            canaries = Canaries(fact.where, fact.at, fact.what.endswith("+"))
            policy.note_canaries(canaries, fact.at)
        elif fact.what == "ack":
            self._acknowledge(policy, fact.at)
        elif fact.what == "cancelwin":
            policy.advance(fact.at, inclusive=False)
            self.windows.cancel(fact.at)
            policy.note_plans_changed(fact.at)
        elif fact.what == "delete":
            policy.note_removed(fact.monitor, fact.at)
        else:
            self._change(policy, fact)

    def _change(self, policy: Policy, fact: Fact) -> None:
        before = self.settings[fact.monitor]
        match fact.what:
            case "disable":
                after = replace(before, status="disabled")
            case "enable":
                after = replace(before, status="active", since=fact.at)
            case "maintenance" | "active":
                after = replace(before, status=fact.what)
            case "edit":
                after = replace(before, since=fact.at, checked_version=before.checked_version + 1)
            case "retire":
                left = tuple(each for each in before.locations if each != fact.where)
                after = replace(before, locations=left)
            case _:
                raise ValueError(fact.what)
        self.settings[fact.monitor] = after
        policy.note_monitor(after, fact.at)

    def _acknowledge(self, policy: Policy, at: float) -> None:
        """Acknowledge the open incident, as a command of the API does: on the log."""
        policy.advance(at, inclusive=False)
        self.log += policy.take()
        incident: Any = None
        for event in self.log:
            if isinstance(event, Incident.Created):
                incident = event.mutate(None)
            elif isinstance(event, Incident.Event):
                event.mutate(incident)
        incident.acknowledge(actor=operator("tester"), now=moment_of(at))
        for event in incident.collect_events():
            self.log.append(event)
            policy.note_decision(event, at)

    def words(self) -> Iterator[str]:
        """Yield what was decided, in the words of the timelines."""
        incidents: dict[Any, Incident] = {}
        for event in self.log:
            if isinstance(event, Incident.Created):
                incidents[event.originator_id] = event.mutate(None)  # type: ignore[assignment] # of this class
            if isinstance(event, Incident.Event):
                incident = incidents[event.originator_id]
                names = [incident.location] if incident.location else [incident.subject]
                shown = names if self.named or incident.location else []
                yield _words(_incident_word(event, incident), shown, event.timestamp)
            if isinstance(event, Notification.Created):
                named = [incidents[UUID(each["id"])].subject for each in event.incidents]
                yield _words(_message_word(event), named if self.named else [], event.timestamp)


def _words(word: str, names: Sequence[str | None], timestamp: datetime) -> str:
    after = timestamp.timestamp() - BASE
    shown = f"[{','.join(sorted(str(each) for each in names))}]" if names else ""
    return f"{word}{shown}@{after:g}"


_WORDS: Final[dict[str, str]] = {
    "Created downtime": "opened",
    "Created ssl_expiry": "opened-cert",
    "Created performance": "opened-slow",
    "Created configuration": "opened-config",
    "Created unwatched": "unwatched",
    "Created location": "suspect",
    "Resolved downtime": "resolved",
    "Resolved ssl_expiry": "resolved-cert",
    "Resolved performance": "resolved-slow",
    "Resolved configuration": "resolved-config",
    "Resolved unwatched": "watched",
    "Resolved location": "trusted",
    "Reopened downtime": "reopened",
    "Acknowledged downtime": "acked",
    "Unstable downtime": "flapping",
    "Released location": "released",
    "unstable": "notify-flapping",
    "closed": "closed-note",
    "configuration": "notify-owner",
}


def _incident_word(event: DomainEvent, incident: Incident) -> str:
    match event:
        case Incident.Closed():
            return f"closed:{event.reason}"
        case Incident.Steady():
            return "steady-down" if event.is_down else "steady-up"
    return _WORDS[f"{type(event).__name__} {incident.type}"]


def _message_word(event: Notification.Created) -> str:
    word = _WORDS.get(event.kind, event.kind)
    if event.kind == "certificate":
        word = f"cert-{event.level}"
    return word if event.channel_id == "c" else f"{word}:{event.channel_id}"


def expected_of(timeline: Timeline) -> list[str]:
    """Return what a timeline expects, with times in seconds."""
    return sorted(
        f"{head}@{seconds(at):g}"
        for head, _, at in (each.rpartition("@") for each in timeline.expected.split())
    )
