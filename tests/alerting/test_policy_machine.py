"""Whatever happens in whatever order: incidents and messages fit a naive model of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerting.policy.decisions import moment_of
from alerting.policy.facts import Channel, Check, MonitorSettings, Timing
from alerting.policy.policy import Policy
from domain.actor import operator
from domain.alert_policy import AlertPolicy
from domain.incident import Incident
from domain.notification import Notification
from domain.numbering import Registered
from tests.alerting.timeline_runner import BASE, Channels, Windows

if TYPE_CHECKING:
    from uuid import UUID

    from domain.notification import NotificationKind


MONITORS: Final = ("m1", "m2", "m3")
LOCATIONS: Final = ("a", "b")
CHECKS_IN_A_ROW: Final = 3
CATEGORIES: Final = ("ok", "timeout", "connect_refused", "secret_unreadable")
TROUBLE: Final = frozenset[str]({"alert", "unstable"})


def settings_of(name: str, locations: tuple[str, ...]) -> MonitorSettings:
    return MonitorSettings(
        monitor_id=name,
        organization_id="o",
        customer_id="k",
        hostname="one" if name != "m3" else "other",
        status="active",
        interval_seconds=300.0,
        timeout_seconds=30.0,
        since=BASE,
        locations=locations,
        policy=AlertPolicy(location_threshold="majority", group_wait_seconds=30),
    )


def policy_of(locations: tuple[str, ...], windows: Windows, channels: Channels) -> Policy:
    """Return a policy that knows the monitors."""
    policy = Policy(windows, channels, Timing())
    for each in MONITORS:
        policy.note_monitor(settings_of(each, locations), BASE)
    return policy


class PolicyMachine(RuleBasedStateMachine):
    """Tells a policy arbitrary facts.

    The naive model: an incident of a monitor is open or not; a channel hears of trouble, and
    once of its end. It knows neither groups, nor votes, nor time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = BASE
        self.windows = Windows()
        self.channels = Channels([Channel("people"), Channel("hook", for_people=False)])
        self.settings = {each: settings_of(each, LOCATIONS) for each in MONITORS}
        self.versions: Counter[tuple[str, str]] = Counter()
        self.told: list[tuple[Any, ...]] = []
        self.log: list[Any] = []
        self.policy = self.fresh()
        self.policy.resume(BASE)

    def fresh(self) -> Policy:
        return policy_of(LOCATIONS, self.windows, self.channels)

    def collect(self) -> None:
        self.log += self.policy.take()

    # What happens.

    @rule(
        monitor=st.sampled_from(MONITORS),
        location=st.sampled_from(LOCATIONS),
        category=st.sampled_from(CATEGORIES),
        after=st.sampled_from((0.0, 1.0, 60.0, 300.0)),
        late=st.sampled_from((0.0, 0.0, 0.0, 200.0, 4000.0, -3600.0)),
        copies=st.sampled_from((1, 2)),
    )
    def check(
        self,
        *,
        monitor: str,
        location: str,
        category: str,
        after: float,
        late: float,
        copies: int,
    ) -> None:
        self.now += after
        self.versions[monitor, location] += 1
        check = Check(
            monitor,
            location,
            self.versions[monitor, location],
            self.settings[monitor].checked_version,
            self.now - late,
            category,
        )
        for _ in range(copies):
            self.policy.note_check(check, self.now)
            self.collect()
        self.told.append(("check", check, self.now))

    @rule(after=st.sampled_from((30.0, 400.0, 2000.0, 90_000.0)))
    def time_passes(self, after: float) -> None:
        self.now += after
        self.policy.advance(self.now)
        self.collect()

    @rule(
        monitor=st.sampled_from(MONITORS),
        status=st.sampled_from(("active", "maintenance", "disabled")),
        edits=st.booleans(),
    )
    def change(self, monitor: str, status: str, *, edits: bool) -> None:
        before = self.settings[monitor]
        after = replace(before, status=status)
        if edits:
            after = replace(after, since=self.now, checked_version=after.checked_version + 1)
        elif before.status == "disabled" and status != "disabled":
            after = replace(after, since=self.now)
        self.settings[monitor] = after
        self.policy.note_monitor(after, self.now)
        self.collect()
        self.told.append(("monitor", after, self.now))

    @rule(length=st.sampled_from((100.0, 1000.0)))
    def window(self, length: float) -> None:
        self.windows.spans.append((self.now, self.now + length))
        self.policy.note_plans_changed(self.now)
        self.collect()

    @precondition(lambda self: self.open_downtimes())
    @rule(closes=st.booleans())
    def somebody_acts(self, *, closes: bool) -> None:
        incident = self.open_downtimes()[0]
        copy = self.rebuilt(incident.id)
        now = moment_of(self.now)
        if closes:
            copy.close("by_hand", actor=operator("tester"), now=now)
        else:
            copy.acknowledge(actor=operator("tester"), now=now)
        for event in copy.collect_events():
            self.log.append(event)
            self.policy.note_decision(event, self.now)
        self.collect()

    @rule()
    def restart(self) -> None:
        policy = self.fresh()
        for event in self.log:
            policy.decided.fold(event)
        for kind, fact, at in self.told:
            if kind == "check":
                policy.note_check(fact, at)
            else:
                policy.note_monitor(fact, at)
        policy.resume(self.now)
        self.policy = policy
        self.collect()

    # What always holds.

    @invariant()
    def no_two_incidents_are_open_of_one_kind(self) -> None:
        found: Counter[tuple[str, str]] = Counter()
        for event in self.log:
            if isinstance(event, Incident.Created):
                found[_subject(event), event.type] += 1
            elif isinstance(event, Incident.Resolved | Incident.Closed):
                found[self.subject(event.originator_id)] -= 1
            elif isinstance(event, Incident.Reopened):
                found[self.subject(event.originator_id)] += 1
            assert all(0 <= each <= 1 for each in found.values()), found

    @invariant()
    def every_event_has_its_own_place_in_a_stream(self) -> None:
        keys = [(each.originator_id, each.originator_version) for each in self.log]
        assert len(set(keys)) == len(keys)

    @invariant()
    def numbers_have_no_gaps(self) -> None:
        given = [each.originator_version for each in self.log if isinstance(each, Registered)]
        assert given == list(range(1, len(given) + 1))

    @invariant()
    def a_channel_hears_of_an_end_only_after_trouble(self) -> None:
        knows: dict[tuple[str, str], bool] = {}
        for event in self.log:
            if not isinstance(event, Notification.Created) or event.kind == "configuration":
                continue
            kind: NotificationKind = event.kind  # type: ignore[assignment] # one of these
            for each in event.incidents:
                key = (event.channel_id, each["id"])
                if kind in TROUBLE:
                    knows[key] = True
                    continue
                assert knows.get(key), f"{kind} without an alert"
                knows[key] = kind == "reminder"

    @invariant()
    def what_is_over_is_told_to_whoever_heard_of_it(self) -> None:
        for incident in self.policy.decided.incidents.values():
            if incident.type == "downtime" and not incident.is_open and not incident.is_unstable:
                told = self.policy.decided.told(incident.id, "hook")
                assert not told.is_outstanding, "a machine hears of every end at once"

    @invariant()
    def messages_are_about_incidents_of_the_log(self) -> None:
        opened = {
            str(each.originator_id) for each in self.log if isinstance(each, Incident.Created)
        }
        for event in self.log:
            if isinstance(event, Notification.Created):
                assert {each["id"] for each in event.incidents} <= opened
                assert len({each["id"] for each in event.incidents}) == len(event.incidents)

    # How the model reads the log.

    def open_downtimes(self) -> list[Incident]:
        found = (self.policy.decided.open_incident(each, "downtime") for each in MONITORS)
        return [each for each in found if each is not None]

    def rebuilt(self, incident_id: UUID) -> Incident:
        incident: Any = None
        for event in self.log:
            if event.originator_id == incident_id:
                incident = event.mutate(incident)
        assert isinstance(incident, Incident)
        return incident

    def subject(self, incident_id: UUID) -> tuple[str, str]:
        event = next(each for each in self.log if each.originator_id == incident_id)
        return _subject(event), event.type


def _subject(event: Any) -> str:  # noqa: ANN401 - an event that opened an incident
    return str(event.monitor_id or event.location)


TestPolicy = PolicyMachine.TestCase
TestPolicy.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class Step(NamedTuple):
    """A check of a monitor some time after the one before."""

    after: float
    monitor: str
    location: str
    category: str


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from((0.0, 0.0, 1.0, 60.0, 300.0)),
        st.sampled_from(MONITORS),
        st.sampled_from(LOCATIONS),
        st.sampled_from(("ok", "timeout", "timeout")),
    ),
    max_size=60,
)


def decided(played: list[tuple[float, Step]], locations: tuple[str, ...]) -> Counter[Any]:
    """Return what a policy decides on checks, without ids and numbers."""
    policy = policy_of(locations, Windows(), Channels([Channel("people")]))
    policy.resume(BASE)
    versions: Counter[tuple[str, str]] = Counter()
    for at, step in played:
        versions[step.monitor, step.location] += 1
        version = versions[step.monitor, step.location]
        policy.note_check(Check(step.monitor, step.location, version, 1, at, step.category), at)
    policy.advance(BASE + 100_000)
    events = policy.take()
    subjects = {
        str(each.originator_id): _subject(each)
        for each in events
        if isinstance(each, Incident.Created)
    }
    return Counter(_described(each, subjects) for each in events)


def _described(event: Any, subjects: dict[str, str]) -> tuple[Any, ...]:  # noqa: ANN401 - any event
    about: tuple[str, ...] = ()
    if isinstance(event, Notification.Created):
        about = (event.kind, *sorted(subjects[each["id"]] for each in event.incidents))
    elif isinstance(event, Incident.Event):
        about = (subjects[str(event.originator_id)],)
    return type(event).TOPIC, event.timestamp, about


def timed(found: list[Step]) -> list[tuple[float, Step]]:
    """Return when each check arrives: after all locations had the time to check once."""
    now, played = BASE + 400, []
    for step in found:
        now += step.after
        played.append((now, step))
    return played


@given(steps)
def test_a_location_that_is_always_silent_changes_nothing(found: list[Step]) -> None:
    played = timed(found)

    assert decided(played, (*LOCATIONS, "silent")) == decided(played, LOCATIONS)


@given(steps, st.permutations(MONITORS))
def test_the_order_of_monitors_within_a_second_changes_only_the_order(
    found: list[Step], order: list[str]
) -> None:
    played = timed(found)
    other = sorted(played, key=lambda each: (each[0], order.index(each[1].monitor)))

    assert decided(other, LOCATIONS) == decided(played, LOCATIONS)
