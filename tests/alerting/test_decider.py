"""The decider follows the logs, stores each decision once, and goes on after any end."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from eventsourcing.persistence import IntegrityError

from alerting.decider import Decider
from domain.commands import UpdateMonitor
from domain.incidents import TrackingMove
from domain.maintenance_window import MaintenanceWindow
from domain.notification import Notification
from tests.alerting.scene import Scene
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from store.store import Store
    from tests.places import Place


ALARM = ["IncidentOpened", "AlertPlanned"]
MINUTES = 180
RECOVERY = ["IncidentResolved", "AlertPlanned"]


@pytest.fixture
def scene(place: Place, store: Store) -> Scene:
    return Scene(place, store)


def started(scene: Scene) -> Decider:
    """Return a decider that has read everything."""
    decider = scene.decider()
    decider.load()
    follow(decider)
    return decider


def follow(decider: Decider) -> None:
    """Let a decider decide until it is at the head."""
    while decider.step():
        pass


def test_three_failing_checks_open_an_incident_and_plan_an_alert(scene: Scene) -> None:
    monitor = scene.monitor()
    decider = started(scene)

    for at in (300, 360, 420):
        scene.check(monitor, at)
        follow(decider)
    assert scene.topics() == ALARM
    scene.check(monitor, 600, "ok")
    follow(decider)

    assert scene.topics() == [*ALARM, *RECOVERY]
    plan = next(each for each in scene.events() if isinstance(each, Notification.Created))
    assert plan.channel_id == str(scene.channel.id)
    assert plan.kind == "alert"
    assert scene.store.incidents.tracked("checks") == scene.store.reader("checks").head()
    (opened,) = (each for each in scene.events() if type(each).TOPIC == "IncidentOpened")
    assert (opened.number, opened.monitor_id) == (1, str(monitor.id))
    assert opened.rests_on == [{"location": "local", "version": 3, "category": "timeout"}]


def test_another_start_decides_nothing_again(scene: Scene) -> None:
    monitor = scene.monitor()
    decider = started(scene)
    for at in (300, 360, 420):
        scene.check(monitor, at)
    follow(decider)
    before = scene.events()

    for _ in range(3):
        started(scene)

    assert scene.events() == before


def test_each_batch_may_be_decided_by_another_process(scene: Scene) -> None:
    monitor = scene.monitor()
    started(scene)

    for at, category in ((300, "timeout"), (360, "timeout"), (420, "timeout"), (600, "ok")):
        scene.check(monitor, at, category)
        started(scene)

    assert scene.topics() == [*ALARM, *RECOVERY]


def test_the_past_of_an_old_store_makes_no_incidents(scene: Scene) -> None:
    monitor = scene.monitor()
    for at in (300, 360, 420):
        scene.check(monitor, at)

    decider = started(scene)
    assert scene.topics() == []
    for at in (480, 540, 600):
        assert scene.topics() == []
        scene.check(monitor, at)
        follow(decider)

    assert scene.topics() == ALARM


def test_a_monitor_that_nobody_checks_becomes_an_incident_by_the_clock(scene: Scene) -> None:
    scene.monitor()
    decider = started(scene)
    scene.clock.after_noon = 659
    follow(decider)
    assert scene.topics() == []
    assert decider.next_deadline() == scene.clock() + 1

    scene.clock.after_noon = 660
    follow(decider)

    assert scene.topics() == ["IncidentOpened"]


def test_of_two_deciders_the_second_stores_nothing_and_reads_again(scene: Scene) -> None:
    monitor = scene.monitor()
    first, second = started(scene), started(scene)
    for at in (300, 360, 420):
        scene.check(monitor, at)
    follow(first)
    before = scene.events()

    with pytest.raises(IntegrityError):
        second.step()
    assert scene.events() == before
    second.load()
    follow(second)
    assert scene.events() == before

    scene.check(monitor, 600, "ok")
    follow(second)
    assert scene.topics() == [*ALARM, *RECOVERY]
    with pytest.raises(IntegrityError):
        first.step()


def test_a_decision_of_the_clock_is_refused_after_another_process_decided(scene: Scene) -> None:
    monitor = scene.monitor()
    first, second = started(scene), started(scene)
    scene.check(monitor, 300, "ok")
    follow(second)
    second.finish()
    scene.clock.after_noon = 2000

    first.policy.advance(scene.clock())
    events = first.policy.take()
    assert events
    with pytest.raises(IntegrityError):
        scene.store.incidents.record(events, TrackingMove("checks", 0, 0))


def test_somebody_acknowledges_and_no_reminder_follows(scene: Scene) -> None:
    monitor = scene.monitor()
    decider = started(scene)
    for at in (300, 360, 420):
        scene.check(monitor, at)
    follow(decider)
    opened = next(each for each in scene.events() if type(each).TOPIC == "IncidentOpened")

    scene.store.incidents.acknowledge(opened.originator_id, TESTER)
    follow(decider)
    scene.clock.after_noon = 4100
    follow(decider)

    assert scene.counts()["AlertPlanned"] == 1


def test_a_lost_race_with_somebody_is_decided_again(scene: Scene) -> None:
    monitor = scene.monitor()
    decider = started(scene)
    for at in (300, 360, 420):
        scene.check(monitor, at)
    follow(decider)
    opened = next(each for each in scene.events() if type(each).TOPIC == "IncidentOpened")
    scene.check(monitor, 600, "ok")
    # The decider has read up to the head of the incidents log, and somebody comes in between.
    record = scene.store.incidents.record

    def interrupted(events: Sequence[Any], move: TrackingMove) -> None:
        scene.store.incidents.acknowledge(opened.originator_id, TESTER)
        record(events, move)

    scene.store.incidents.record = interrupted  # type: ignore[method-assign] # a moment that cannot be met otherwise
    with pytest.raises(IntegrityError):
        decider.step()
    scene.store.incidents.record = record  # type: ignore[method-assign] # as before
    decider.load()
    follow(decider)

    assert scene.topics() == [*ALARM, "IncidentAcknowledged", *RECOVERY]


def test_an_edit_begins_anew_also_when_it_is_read_late(scene: Scene) -> None:
    monitor = scene.monitor()
    decider = started(scene)
    scene.check(monitor, 300)
    scene.check(monitor, 360)
    scene.clock.after_noon = 400
    changed = UpdateMonitor(monitor.id, {"hostname": "other.example.com"})
    edited = scene.store.monitoring.update_monitor(changed, TESTER)
    scene.check(monitor, 420)
    scene.check(edited, 480)
    scene.check(edited, 540)
    follow(decider)
    assert scene.topics() == []

    scene.check(edited, 600)
    follow(decider)

    assert scene.topics() == ALARM


def test_a_deleted_monitor_ends_its_incident(scene: Scene) -> None:
    monitor = scene.monitor()
    decider = started(scene)
    for at in (300, 360, 420):
        scene.check(monitor, at)
    follow(decider)
    scene.store.monitoring.delete_monitor(monitor.id, TESTER)

    # Also by a process that was not there when it happened.
    started(scene)

    assert scene.topics() == [*ALARM, "IncidentClosed", "AlertPlanned"]


def test_a_window_holds_messages_back_until_a_check_after_its_end(scene: Scene) -> None:
    monitor = scene.monitor()
    window = {
        "name": "Upgrade",
        "start_time": "2026-01-01T12:01:00.000Z",
        "end_time": "2026-01-01T12:10:00.000Z",
        "targets": [str(monitor.id)],
    }
    scene.store.monitoring.resources.create(
        MaintenanceWindow, scene.owners.organization.id, window, TESTER
    )
    decider = started(scene)
    for at in (300, 360, 420, 480):
        scene.check(monitor, at)
    follow(decider)
    assert scene.topics() == ["IncidentOpened"]
    scene.clock.after_noon = 640
    follow(decider)
    assert scene.topics() == ["IncidentOpened"]

    scene.check(monitor, 650)
    follow(decider)

    assert scene.topics() == ALARM


def test_after_two_hours_away_what_is_over_is_not_told(scene: Scene) -> None:
    over, lasting = scene.monitor("over.example.com"), scene.monitor("lasting.example.com")
    started(scene)
    for at in (300, 360, 420):
        scene.record([(over, at, "timeout"), (lasting, at, "timeout")])
    for at in (600, 900, 7200):
        scene.record([(over, at, "ok"), (lasting, at, "timeout")])
    scene.clock.after_noon = 7230

    started(scene)

    opened = [each for each in scene.events() if type(each).TOPIC == "IncidentOpened"]
    assert {each.timestamp.timestamp() - scene.clock() for each in opened} >= {420 - 7230}
    skipped = {
        each.originator_id for each in scene.events() if isinstance(each, Notification.Skipped)
    }
    planned = [each for each in scene.events() if isinstance(each, Notification.Created)]
    of = {each.originator_id: each.monitor_id for each in opened}
    about_over = {
        each.originator_id
        for each in planned
        if {of[UUID(found["id"])] for found in each.incidents} == {str(over.id)}
    }
    assert about_over
    assert about_over == skipped


# Crashes.


def story(scene: Scene) -> None:
    """Record hours of checks of four servers that break and recover."""
    monitors = [scene.monitor(f"mail{number}.example.com") for number in range(4)]
    started(scene).finish()
    for minute in range(MINUTES):
        scene.record(
            [(each, minute * 60 + 1, _category(minute, n)) for n, each in enumerate(monitors)]
        )
    scene.clock.after_noon = MINUTES * 60


def _category(minute: int, number: int) -> str:
    return "timeout" if (minute + 3 * number) % 20 < 8 else "ok"


def decide_and_die(scene: Scene, kill: Callable[[Store], None]) -> bool:
    """Decide in a process that kills itself; return whether it came to the end."""
    child = os.fork()
    if child == 0:
        try:
            with scene.place.open() as store:
                kill(store)
                decider = Decider(store, clock=scene.clock, batch=8)
                decider.load()
                follow(decider)
                decider.finish()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the decider failed"
    return os.WIFEXITED(status)


def at_commit(number: int, *, after: bool) -> Callable[[Store], None]:
    """Return what makes a process kill itself before or after its nth commit."""

    def prepare(store: Store) -> None:
        record, count = store.incidents.record, [0]

        def dying(events: Sequence[Any], move: TrackingMove) -> None:
            count[0] += 1
            if count[0] == number and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            record(events, move)
            if count[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

        store.incidents.record = dying  # type: ignore[method-assign] # the place of death

    return prepare


def decided(scene: Scene) -> list[tuple[str, UUID, int]]:
    """Return what was decided, by topic, stream and version."""
    ignored = ("AlertingStarted",)
    return sorted(
        (type(each).TOPIC, each.originator_id, each.originator_version)
        for each in scene.events()
        if type(each).TOPIC not in ignored
    )


def test_a_decider_that_is_killed_at_every_commit_loses_and_doubles_nothing(
    scene: Scene,
) -> None:
    story(scene)

    kills = 0
    while not decide_and_die(scene, at_commit(1 + kills % 2, after=bool(kills // 2 % 2))):
        kills += 1
        assert kills < 200

    assert kills >= 50
    expected = _undisturbed(scene)
    assert decided(scene) == expected


def _undisturbed(scene: Scene) -> list[tuple[str, UUID, int]]:
    """Return what a policy decides in memory on the same checks, with nothing to go wrong."""
    found: list[Any] = []
    decider = scene.decider(batch=8)

    class Memory:
        def __init__(self) -> None:
            self.position = 0

        def tracked(self, source: str) -> int:
            del source
            return self.position

        def record(self, events: Sequence[Any], move: TrackingMove) -> None:
            found.extend(events)
            self.position = move.after

    started_event = scene.store.reader("incidents").after(0, 1)
    decider._store = _Fake(scene.store, Memory())  # type: ignore[assignment] # its two attributes
    decider._incidents = _FirstOnly(started_event)  # type: ignore[assignment] # reads one event
    decider.load()
    follow(decider)
    return sorted((type(each).TOPIC, each.originator_id, each.originator_version) for each in found)


class _Fake:
    def __init__(self, store: Store, incidents: Any) -> None:  # noqa: ANN401 - a memory
        self.checks = store.checks
        self.incidents = incidents


class _FirstOnly:
    def __init__(self, events: Any) -> None:  # noqa: ANN401 - of the log
        self._events = events

    def after(self, position: int, limit: int) -> Any:  # noqa: ANN401 - of the log
        del limit
        return [each for each in self._events if each.position > position]


def test_monitors_of_one_server_share_an_alert_for_people(scene: Scene) -> None:
    first, second = (scene.monitor("mail.example.com", name=name) for name in ("SMTP", "IMAP"))
    resources = scene.store.monitoring.resources
    resources.set_package(
        scene.owners.organization.id, "basic", {"alertGroupWaitSeconds": 30}, TESTER
    )
    decider = started(scene)
    for at in (300, 360, 420):
        scene.record([(first, at, "timeout"), (second, at + 5, "timeout")])
        scene.clock.after_noon = at + 5
        follow(decider)
    scene.clock.after_noon = 460
    follow(decider)

    plans = [each for each in scene.events() if isinstance(each, Notification.Created)]
    assert [len(each.incidents) for each in plans] == [2]
