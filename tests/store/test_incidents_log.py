"""The `incidents` log stores decisions and the position that they follow from, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from eventsourcing.persistence import IntegrityError

from domain.errors import ConflictError, NotFoundError
from domain.incident import Incident
from domain.incidents import AlertingStarted, TrackingMove
from store.transfer.backup import make_backup, restore_backup
from tests.domain.given import TESTER, make_owners
from tests.places import Place, on_sqlite
from tests.store.rich_store import decide

if TYPE_CHECKING:
    from pathlib import Path

    from store.store import Store


pytestmark = pytest.mark.both_engines


@pytest.fixture
def incident(store: Store) -> Incident:
    """An incident that is open and acknowledged; the checks log is tracked up to 20."""
    monitor = store.monitoring.create_monitor(make_owners(store).create(), TESTER)
    return decide(store, monitor)


def test_a_store_tracks_nothing_until_alerting_starts(store: Store) -> None:
    assert store.incidents.tracked("checks") is None

    store.incidents.start(7, 1, TESTER)

    assert store.incidents.tracked("checks") == 7
    (started,) = [each.event for each in store.reader("incidents").after(0, 10)]
    assert isinstance(started, AlertingStarted)
    assert (started.checks_position, started.policy_version) == (7, 1)


def test_alerting_starts_once(store: Store) -> None:
    store.incidents.start(7, 1, TESTER)

    with pytest.raises(IntegrityError):
        store.incidents.start(9, 1, TESTER)

    assert store.incidents.tracked("checks") == 7
    assert store.reader("incidents").head() == 1


def test_a_position_moves_only_from_where_it_was_read(store: Store) -> None:
    store.incidents.start(7, 1, TESTER)
    store.incidents.record([], TrackingMove("checks", 7, 9))

    for before in (None, 7, 8):
        with pytest.raises(IntegrityError):
            store.incidents.record([], TrackingMove("checks", before, 12))

    assert store.incidents.tracked("checks") == 9


def test_a_second_decider_stores_nothing(store: Store, place: Place) -> None:
    monitor = store.monitoring.create_monitor(make_owners(store).create(), TESTER)
    decide(store, monitor)
    head = store.reader("incidents").head()

    with place.open() as other, pytest.raises(IntegrityError):
        other.incidents.record([], TrackingMove("checks", 0, 40))

    assert store.reader("incidents").head() == head
    assert store.incidents.tracked("checks") == 20


def test_an_event_that_is_there_already_moves_no_position(store: Store, incident: Incident) -> None:
    events = [each.event for each in store.reader("incidents").after(0, 10)]
    opened = [each for each in events if isinstance(each, Incident.Created)]

    with pytest.raises(IntegrityError):
        store.incidents.record(opened, TrackingMove("checks", 20, 30))

    assert store.incidents.tracked("checks") == 20
    assert store.incidents.incident(incident.id).version == incident.version


@pytest.mark.parametrize("race", range(5))
def test_of_two_deciders_one_wins(store: Store, place: Place, race: int) -> None:
    del race
    store.incidents.start(0, 1, TESTER)

    def record(after: int) -> int:
        with place.open() as mine:
            try:
                mine.incidents.record([], TrackingMove("checks", 0, after))
            except IntegrityError:
                return 0
            return after

    with ThreadPoolExecutor(2) as threads:
        won = sorted(threads.map(record, (10, 20)))

    assert won[0] == 0
    assert store.incidents.tracked("checks") == won[1] > 0


def test_people_acknowledge_and_close_incidents(store: Store, incident: Incident) -> None:
    again = store.incidents.acknowledge(incident.id, TESTER, "me too")
    assert (again.acknowledged_by, again.version) == (TESTER, incident.version)

    closed = store.incidents.close_by_hand(incident.id, TESTER, "moved away")

    assert (closed.state, closed.close_reason) == ("closed", "by_hand")
    with pytest.raises(ConflictError):
        store.incidents.close_by_hand(incident.id, TESTER)
    with pytest.raises(ConflictError):
        store.incidents.acknowledge(incident.id, TESTER)


def test_an_incident_that_is_not_there_cannot_be_acknowledged(
    store: Store, incident: Incident
) -> None:
    monitor_id = incident.monitor_id
    assert monitor_id is not None
    with pytest.raises(NotFoundError):
        store.incidents.acknowledge(UUID(monitor_id), TESTER)


@on_sqlite
def test_a_restored_backup_is_not_decided_on(
    store: Store, incident: Incident, tmp_path: Path
) -> None:
    make_backup(store, tmp_path / "backup", with_master_key=True)

    restore_backup(tmp_path / "backup", tmp_path / "restored", None)

    with Place(tmp_path / "restored").open() as restored:
        assert restored.incidents.incident(incident.id).number == incident.number
        assert restored.incidents.tracked("checks") is None
        restored.incidents.start(20, 1, TESTER)
        assert restored.incidents.tracked("checks") == 20
