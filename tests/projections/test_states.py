"""The `states` view: the state of each monitor, folded from three logs in any order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.check import Category
from domain.commands import UpdateMonitor
from domain.monitor_state import STATES
from projections.core.joined_log import JoinedLog
from projections.readers.states import SORT_KEYS, StateFilter
from projections.shapes.check import BLOCKED
from projections.views import states
from projections.views.time_travel import Replay
from tests.domain.given import CREATE_IMAP, CREATE_SMTP, NOON, TESTER, check_of
from tests.projections.folding import catch_up, rows
from tests.store.rich_store import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from domain.kinds import Kind
    from domain.monitor import Monitor
    from domain.monitor_state import MonitorState
    from projections.catalog import Views
    from projections.readers.states import SortKey
    from store.log_reader import LoggedEvent
    from store.store import Store
    from tests.domain.given import Owners


LOGS = ("monitoring", "checks", "incidents")
RELAXED = settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def listed(views: Views, which: StateFilter) -> list[dict[str, Any]]:
    """Return all items of a list, in pages of two."""
    found: list[dict[str, Any]] = []
    page = 1
    while items := orjson.loads(views.states.monitors(which, page, 2).items):
        found += items
        page += 1
    assert views.states.monitors(which, 1, 1).total == len(found)
    return found


def known(views: Views, monitor: Monitor) -> dict[str, Any]:
    """Return what a list shows of a monitor after all views have caught up."""
    catch_up(views)
    which = StateFilter(organization_id=monitor.organization_id)
    (found,) = [each for each in listed(views, which) if each["publicId"] == str(monitor.id)]
    return found


def check(
    store: Store, monitor: Monitor, minute: int, category: str = "ok", at: str = "de-nbg"
) -> str:
    """Record a check; return when it ended."""
    made = check_of(monitor, minute, "up" if category == "ok" else "down")
    outcome = {**made.outcome, "category": category, "message": f"it said {category}"}
    store.checks.record([replace(made, outcome=outcome)], location=at, actor=TESTER)
    return f"2026-01-01T12:{minute:02}:00.000Z"


def end(store: Store, incident: UUID, minute: int) -> str:
    """Record that an incident is over; return when."""
    found = store.incidents.incident(incident)
    found.resolve([], actor=TESTER, now=NOON + timedelta(minutes=minute))
    store.incidents.save(found)
    return f"2026-01-01T12:{minute:02}:00.000Z"


def update(store: Store, monitor: Monitor, **changes: Any) -> Monitor:  # noqa: ANN401 - any field
    return store.monitoring.update_monitor(UpdateMonitor(monitor.id, changes), TESTER)


@pytest.mark.both_engines
def test_a_monitor_fails_is_down_recovers_and_is_up(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    assert known(views, monitor)["state"] == "pending"

    first = check(store, monitor, 1)
    assert (known(views, monitor)["state"], known(views, monitor)["lastError"]) == ("up", None)

    failed = check(store, monitor, 2, "timeout")
    last = check(store, monitor, 3, "connect_refused")
    found = known(views, monitor)
    assert (found["state"], found["stateSince"]) == ("suspicious", failed)
    assert found["lastCheckedAt"] == last
    assert found["lastError"] == {
        "category": "connect_refused",
        "phase": None,
        "message": "it said connect_refused",
        "serverReply": None,
        "locationCode": "de-nbg",
        "firstSeenAt": last,
    }

    incident = decide(store, monitor)
    found = known(views, monitor)
    assert (found["state"], found["openIncidentId"]) == ("down", str(incident.id))
    assert found["stateSince"] == incident.outage_started_at

    good = check(store, monitor, 5)
    assert (known(views, monitor)["state"], known(views, monitor)["stateSince"]) == (
        "recovering",
        good,
    )
    end(store, incident.id, 6)
    found = known(views, monitor)
    assert (found["state"], found["openIncidentId"], found["lastError"]) == ("up", None, None)
    assert found["stateSince"] > first


def test_an_incident_that_is_opened_again_is_down_again(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    incident = decide(store, monitor)
    end(store, incident.id, 6)
    assert known(views, monitor)["state"] == "pending"

    found = store.incidents.incident(incident.id)
    fields = {"rests_on": [], "voters": 1, "threshold": 1, "held": False}
    found.reopen(
        fields={**fields, "outage_started_at": "2026-01-01T12:08:00.000Z"}, actor=TESTER, now=NOON
    )
    store.incidents.save(found)

    again = known(views, monitor)
    assert (again["state"], again["stateSince"]) == ("down", "2026-01-01T12:08:00.000Z")
    assert views.states.counts(monitor.organization_id).open_incidents["downtime"] == 1
    store.incidents.close_by_hand(incident.id, TESTER)
    assert known(views, monitor)["openIncidentId"] is None
    assert views.states.counts(monitor.organization_id).open_incidents["downtime"] == 0


def test_a_change_of_what_is_checked_begins_anew(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    check(store, monitor, 1, "timeout")
    assert known(views, update(store, monitor, name="Another name"))["state"] == "suspicious"
    assert known(views, update(store, monitor, hostname="other.example"))["state"] == "pending"
    check(store, monitor, 2, "timeout")
    assert known(views, monitor)["state"] == "pending", "a check of the host before"

    assert known(views, update(store, monitor, status="disabled"))["state"] == "disabled"
    assert known(views, update(store, monitor, status="active"))["state"] == "pending"
    assert known(views, update(store, monitor, status="maintenance"))["state"] == "maintenance"


def test_a_login_that_was_left_out_says_nothing(store: Store, owners: Owners, views: Views) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    check(store, monitor, 1)
    left_out = check_of(monitor, 2, "down")
    outcome = {
        **left_out.outcome,
        "category": "auth_failed",
        "message": "left out",
        "warnings": [{"code": "login_postponed", "message": "later"}],
    }
    store.checks.record([replace(left_out, outcome=outcome)], location="de-nbg", actor=TESTER)

    assert known(views, monitor)["state"] == "up"


def test_an_address_that_is_not_allowed_is_not_named(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    check(store, monitor, 1, Category.ADDRESS_BLOCKED)

    found = known(views, monitor)
    assert (found["state"], found["lastError"]["message"]) == ("unwatched", BLOCKED)


def test_late_events_of_a_deleted_monitor_bring_nothing_back(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    incident = decide(store, monitor)
    catch_up(views)
    store.monitoring.delete_monitor(monitor.id, TESTER)
    catch_up(views)
    check(store, monitor, 1, "timeout")
    end(store, incident.id, 2)
    catch_up(views)

    assert listed(views, StateFilter(organization_id=monitor.organization_id)) == []
    counts = views.states.counts(monitor.organization_id)
    assert sum(counts.by_state.values()) == sum(counts.open_incidents.values()) == 0


def test_checks_that_say_the_same_write_no_row(store: Store, owners: Owners, views: Views) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    check(store, monitor, 1)
    catch_up(views)
    before = dict(rows(views.projector("states").view, states.PROJECTION)["states"])
    for minute in (2, 3):
        check(store, monitor, minute)
    catch_up(views)

    assert dict(rows(views.projector("states").view, states.PROJECTION)["states"]) == before


@pytest.fixture
def many(store: Store, owners: Owners, views: Views) -> list[Monitor]:
    """Monitors of both kinds in many states."""
    made = []
    for number in range(8):
        command = owners.create(CREATE_IMAP if number % 2 else CREATE_SMTP)
        status = "disabled" if number == 6 else "active"
        command = replace(command, name=f"Server {number % 5}", status=status)
        made.append(store.monitoring.create_monitor(command, TESTER))
    for number in (0, 1, 3):
        check(store, made[number], number)
    for number in (2, 4):
        check(store, made[number], number, "timeout")
    decide(store, made[4])
    catch_up(views)
    return made


@pytest.mark.both_engines
@pytest.mark.parametrize("sort", SORT_KEYS)
def test_a_list_is_filtered_and_sorted(views: Views, many: list[Monitor], sort: SortKey) -> None:
    key: dict[str, Callable[[dict[str, Any]], Any]] = {
        "id": lambda each: each["id"],
        "name": lambda each: each["name"].casefold(),
        "state": lambda each: STATES.index(each["state"]),
        "stateSince": lambda each: each["stateSince"],
    }
    everything = sorted(
        listed(views, StateFilter(organization_id=many[0].organization_id)),
        key=lambda each: (key[sort](each), each["id"], each["monitorType"]),
    )
    assert len(everything) == len(many)
    for which in filters(many[0], sort):
        found = [
            each
            for each in everything
            if (which.states is None or each["state"] in which.states)
            and which.kind in {None, each["monitorType"]}
        ]
        assert listed(views, which) == (found[::-1] if which.is_descending else found)


def filters(monitor: Monitor, sort: SortKey) -> Iterator[StateFilter]:
    """Yield every combination of filters on the monitors of one owner."""
    states: tuple[Sequence[MonitorState] | None, ...] = (
        None,
        ["up"],
        ["down", "suspicious"],
        ["recovering"],
    )
    kinds: tuple[Kind | None, ...] = (None, "smtp", "imap_pop")
    for state, kind, customer, is_descending in product(
        states, kinds, (None, monitor.customer_id), (False, True)
    ):
        yield StateFilter(
            organization_id=monitor.organization_id,
            customer_id=customer,
            kind=kind,
            states=state,
            sort=sort,
            is_descending=is_descending,
        )


@pytest.mark.both_engines
def test_counts_are_those_of_the_list(views: Views, many: list[Monitor]) -> None:
    items = listed(views, StateFilter(organization_id=many[0].organization_id))

    for customer in (None, many[0].customer_id):
        counts = views.states.counts(many[0].organization_id, customer)
        for state in STATES:
            assert counts.by_state[state] == sum(each["state"] == state for each in items)
        assert counts.by_kind == {"smtp": 4, "imap_pop": 4}
        assert {kind: n for kind, n in counts.open_incidents.items() if n} == {"downtime": 1}
    assert sum(views.states.counts("of nobody").by_state.values()) == 0


@given(data=st.data())
@RELAXED
def test_the_order_between_the_logs_does_not_matter(
    store: Store, many: list[Monitor], data: st.DataObject
) -> None:
    if store.monitoring.repository.get(many[7].id).version == 1:
        update(store, many[2], hostname="other.example")
        store.monitoring.delete_monitor(many[4].id, TESTER)
        update(store, many[7], name="The last one")
    events = {log: list(store.reader(log).after(0, 1000)) for log in LOGS}
    turns = data.draw(
        st.permutations([log for log in LOGS for _ in events[log]]), label="which log is next"
    )
    sources = {log: iter(found) for log, found in events.items()}

    mixed = folded([next(sources[log]) for log in turns])

    assert mixed == folded([each for log in LOGS for each in events[log]])


def folded(events: list[LoggedEvent]) -> dict[str, Any]:
    """Fold events one by one in memory; return the rows by table and key."""
    replay = Replay()
    for each in events:
        states.PROJECTION.fold([each], replay)
    return {table.name: dict(replay.rows(table)) for table in states.PROJECTION.tables}


@pytest.mark.both_engines
def test_what_one_log_has_is_shown_without_the_others(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    check(store, monitor, 1)
    projector = views.projector("states")

    projector.follow("monitoring")

    (found,) = listed(views, StateFilter(organization_id=monitor.organization_id))
    assert found["state"] == "pending"
    assert projector.position_in("monitoring") == store.reader("monitoring").head()
    assert projector.position_in("checks") == 0
    assert projector.position_in("of nothing") is None
    assert known(views, monitor)["state"] == "up"
    assert projector.lag() == 0
    with pytest.raises(TypeError, match="one log"):
        views.projector("monitors").follow("monitoring")


def test_a_view_that_shows_what_one_of_its_logs_lacks_is_noticed(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    check(store, monitor, 1)
    catch_up(views)
    log = views.projector("states").log
    assert isinstance(log, JoinedLog)
    mark = orjson.loads(views.projector("states").view.tracked_position()[1])

    assert not log.has_diverged(orjson.dumps(mark).decode())
    longer = {**mark, "checks": [mark["checks"][0] + 1, mark["checks"][1]]}
    other = {**mark, "monitoring": [mark["monitoring"][0], "another event"]}
    for wrong in (longer, other):
        assert log.has_diverged(orjson.dumps(wrong).decode())


def test_an_error_that_goes_on_is_noted_seldom(store: Store, owners: Owners, views: Views) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    first = check(store, monitor, 1, "timeout")
    before = known(views, monitor)
    noted: list[str] = []
    for minute in (2, 5, 6, 8, 11):
        check(store, monitor, minute, "timeout")
        assert known(views, monitor)["lastError"] == before["lastError"]
        noted += [place(views, monitor)["at"]]
    another = check(store, monitor, 12, "connect_refused")

    minutes = [each[14:16] for each in noted]
    assert minutes == ["01", "01", "06", "06", "11"]
    assert before["lastError"]["firstSeenAt"] == first
    assert known(views, monitor)["lastError"]["firstSeenAt"] == another
    assert known(views, monitor)["stateSince"] == first


def place(views: Views, monitor: Monitor) -> dict[str, Any]:
    """Return what the row of a monitor says of its only location."""
    found = dict(rows(views.projector("states").view, states.PROJECTION)["states"])
    record = found[str(monitor.id)]
    ((_, verdict),) = record["places"].items()
    return dict(verdict)


@pytest.mark.both_engines
def test_the_last_dialogue_of_each_location_is_kept_until_the_monitor_is_deleted(
    store: Store, owners: Owners, views: Views
) -> None:
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    made = check_of(monitor, 1, "down")
    for number, at in enumerate(("de-nbg", "us-nyc", "de-nbg")):
        lines = [{"elapsed_ms": 1.0, "side": "server", "text": f"no {number}"}]
        due = check_of(monitor, number + 1, "down")
        outcome = {**made.outcome, "dialogue": lines}
        store.checks.record([replace(due, outcome=outcome)], location=at, actor=TESTER)
    check(store, monitor, 9)
    catch_up(views)

    found = views.states.dialogues(str(monitor.id))

    assert [(each["location"], each["dialogue"][0]["text"]) for each in found] == [
        ("de-nbg", "no 2"),
        ("us-nyc", "no 1"),
    ]
    store.monitoring.delete_monitor(monitor.id, TESTER)
    catch_up(views)
    assert views.states.dialogues(str(monitor.id)) == []
