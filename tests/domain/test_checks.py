"""The `checks` log: batches, versions of streams, and two recorders at once."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from eventsourcing.persistence import IntegrityError

from domain.check import (
    Category,
    CheckPerformed,
    Finding,
    Outcome,
    Phase,
    TlsFacts,
    Verdict,
    check_log_id,
)
from domain.checks import Checks
from domain.event_mapper import Row, stored_event
from store.log_reader import LogReader
from tests.domain.given import NOON, TESTER, check_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from domain.monitor import Monitor
    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


@pytest.fixture
def monitor(store: Store, owners: Owners) -> Monitor:
    """A monitor to check."""
    return store.monitoring.create_monitor(owners.create(), TESTER)


def versions(store: Store, monitor: Monitor, location: str = "local") -> list[int]:
    events = store.checks.recorder.select_events(check_log_id(monitor.id, location))
    return [each.originator_version for each in events]


def test_a_batch_is_stored_in_order_with_everything(store: Store, monitor: Monitor) -> None:
    checks = [check_of(monitor, minute) for minute in range(3)]

    store.checks.record(checks, location="local", actor=TESTER)

    events = [each.event for each in LogReader(store.checks).after(0, 10)]
    assert [type(each) for each in events] == [CheckPerformed] * 3
    assert versions(store, monitor) == [1, 2, 3]
    assert all(each == CheckPerformed(**each.__dict__) for each in events), "no field too many"
    assert events[0].timestamp == NOON
    assert events[0].monitor_id == str(monitor.id)
    assert (events[0].monitor_version, events[0].kind) == (1, "smtp")
    assert events[0].outcome == {"verdict": "up", "category": "ok"}
    assert events[0].actor == TESTER


def test_an_empty_batch_stores_nothing(store: Store) -> None:
    store.checks.record([], location="local", actor=TESTER)

    assert LogReader(store.checks).head() == 0


def test_each_location_has_a_stream_of_its_own(store: Store, monitor: Monitor) -> None:
    store.checks.record([check_of(monitor)], location="de-nbg", actor=TESTER)
    store.checks.record([check_of(monitor)], location="fi-hel", actor=TESTER)

    assert versions(store, monitor, "de-nbg") == versions(store, monitor, "fi-hel") == [1]
    assert check_log_id(monitor.id, "de-nbg") != check_log_id(monitor.id, "fi-hel")
    assert check_log_id(monitor.id, "de-nbg") == check_log_id(monitor.id, "de-nbg")


def test_a_restarted_recorder_goes_on_at_the_next_version(
    place: Place, store: Store, monitor: Monitor
) -> None:
    store.checks.record([check_of(monitor)], location="local", actor=TESTER)
    store.close()

    with place.create() as again:
        again.checks.record([check_of(monitor, 1)], location="local", actor=TESTER)
        assert versions(again, monitor) == [1, 2]


def test_of_two_recorders_the_second_stores_nothing_and_then_everything(
    place: Place, store: Store, owners: Owners, monitor: Monitor
) -> None:
    other = store.monitoring.create_monitor(owners.create(), TESTER)
    store.checks.record([check_of(monitor)], location="local", actor=TESTER)
    with place.open() as second:
        second.checks.record([check_of(monitor, 1)], location="local", actor=TESTER)
    batch = [check_of(other, 2), check_of(monitor, 2)]

    with pytest.raises(IntegrityError):
        store.checks.record(batch, location="local", actor=TESTER)
    assert (versions(store, monitor), versions(store, other)) == ([1, 2], [])
    store.checks.record(batch, location="local", actor=TESTER)

    assert (versions(store, monitor), versions(store, other)) == ([1, 2, 3], [1])


def test_a_log_is_read_after_a_position_up_to_a_limit(store: Store, monitor: Monitor) -> None:
    log = LogReader(store.checks)
    assert (log.head(), list(log.after(0, 10))) == (0, [])
    store.checks.record(
        [check_of(monitor, minute) for minute in range(5)], location="local", actor=TESTER
    )

    assert [each.position for each in log.after(0, 2)] == [1, 2]
    assert [each.position for each in log.after(2, 10)] == [3, 4, 5]
    assert list(log.after(5, 10)) == []
    assert log.head() == 5
    assert log.name == "checks"


def test_the_newest_checks_of_many_monitors_are_read_at_once(
    place: Place, store: Store, owners: Owners
) -> None:
    monitors = [store.monitoring.create_monitor(owners.create(), TESTER) for _ in range(4)]
    for number, monitor in enumerate(monitors):
        made = [check_of(monitor, minute) for minute in range(number)]
        store.checks.record(made, location="local", actor=TESTER)
    store.checks.record([check_of(monitors[0])], location="elsewhere", actor=TESTER)
    ids = [each.id for each in monitors]
    with place.open() as other:
        found = other.checks.look(ids, "local", 2)
        last = other.checks.last_of(ids, "local")
        assert not other.checks.look([], "local", 2)
        assert not other.checks.last_of([], "local")

        versions_of = {key: [each.originator_version for each in found[key]] for key in found}
        assert versions_of == dict(zip(ids, [[], [1], [2, 1], [3, 2]], strict=True))
        assert last == {each: found[each][0] for each in ids[1:]}
        assert all(each.monitor_id == str(key) for key, each in last.items())

        # It continues from what it saw, and is refused when another writer was first.
        store.checks.record([check_of(monitors[1], 5)], location="local", actor=TESTER)
        assert other.checks.last_of([ids[1]], "local")[ids[1]].originator_version == 2
        with pytest.raises(IntegrityError):
            other.checks.record([check_of(monitors[1], 6)], location="local", actor=TESTER)


def test_an_outcome_is_json_with_every_key_always() -> None:
    facts = TlsFacts(
        version="TLSv1.3",
        cipher="TLS_AES_256_GCM_SHA384",
        subject="CN=a",
        issuer="CN=b",
        names=("a.example",),
        not_before="2026-01-01T00:00:00Z",
        not_after="2027-01-01T00:00:00Z",
        days_left=365,
        fingerprint_sha256="ab",
        verdict=Category.OK,
        verify_code=0,
        verify_message="ok",
    )
    up = Outcome(Verdict.UP, Category.OK, None, "fine", {"total": 1.5}, tls=facts)
    down = Outcome(
        *(Verdict.DOWN, Category.TIMEOUT, Phase.CONNECT, "too slow", {}),
        warnings=(Finding("cert_expires_soon", "in 3 days"),),
    )

    assert list(up.as_json()) == list(down.as_json())
    assert up.as_json()["tls"]["names"] == ["a.example"]
    assert up.as_json()["tls"]["verdict"] == "ok"
    assert (up.as_json()["phase"], down.as_json()["phase"]) == (None, "connect")
    assert down.as_json()["tls"] is None
    assert down.as_json()["warnings"] == [{"code": "cert_expires_soon", "message": "in 3 days"}]
    assert (up.is_up, down.is_up) == (True, False)


def test_a_check_log_of_an_unknown_monitor_is_empty(store: Store) -> None:
    assert store.checks.recorder.select_events(check_log_id(uuid4(), "local")) == []


def test_checks_that_are_archived_follow_those_of_the_log(store: Store, monitor: Monitor) -> None:
    checks = [check_of(monitor, minute) for minute in range(3)]
    store.checks.record(checks, location="local", actor=TESTER)
    stream = check_log_id(monitor.id, "local")
    rows = [
        Row(
            each.originator_version,
            stream.hex.encode(),
            str(each.originator_version).encode(),
            each.topic.encode(),
            each.state,
        )
        for each in store.checks.recorder.select_events(stream, desc=True)
    ]

    class Archive:
        def before(self, asked: UUID, version: int, limit: int) -> Sequence[Row]:
            assert asked == stream
            return [each for each in rows if int(each.version) < version][:limit]

    with Checks() as newest_only:
        newest_only.recorder.insert_events([stored_event(rows[0]._replace(version=b"3"))])
        newest_only.older = Archive()
        found = newest_only.newest(monitor.id, "local", 2)

    assert [each.originator_version for each in found] == [3, 2]
