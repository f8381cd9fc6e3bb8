"""A view that follows events just recorded, beside one that reads them from the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.commands import IssueToken, UpdateMonitor
from projections.catalog import Views
from projections.core.projector import KEPT_SECONDS, RecentEvents
from tests.domain.given import CREATE_IMAP, TESTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.core.projector import Projector
    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


@pytest.fixture
def projector(store: Store, views: Views) -> Iterator[Projector]:
    """The projector of the monitors, told of events as the API tells it."""
    found = views.projector("monitors")
    found.catch_up()
    store.monitoring.observers.append(found.recent_events.note)
    yield found
    store.monitoring.observers.remove(found.recent_events.note)


def reads_nothing(projector: Projector, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(position: int, limit: int) -> Any:  # noqa: ANN401 - it never returns
        raise AssertionError(f"read up to {limit} events after {position}")

    monkeypatch.setattr(projector.log, "each_after", refuse)


def shown(projector: Projector) -> dict[str, list[tuple[str, Any]]]:
    view = projector.view
    return {table.name: list(view.rows(table)) for table in projector.projection.tables}


def work(store: Store, owners: Owners, projector: Projector) -> None:
    """Give every command that the view shows, one after the other, each shown at once."""
    monitoring = store.monitoring
    organization = owners.organization.id

    smtp = monitoring.create_monitor(owners.create(), TESTER)
    projector.catch_up()
    imap = monitoring.create_monitor(owners.create(CREATE_IMAP), TESTER)
    projector.catch_up()
    config = {"secure": True, "auth": {"user": "me", "pass": "secret"}}
    for changes in ({"name": "Renamed"}, {"config": config}, {"port": None}):
        monitoring.update_monitor(UpdateMonitor(smtp.id, changes), TESTER)
        projector.catch_up()
    monitoring.delete_monitor(imap.id, TESTER)
    projector.catch_up()
    command = IssueToken(organization, None, "Known", "user", f"wsm_{'j' * 40}")
    token = monitoring.issue_token(command, TESTER)
    projector.catch_up()
    monitoring.use_token(token.id, TESTER)
    projector.catch_up()
    monitoring.revoke_token(token.id, TESTER)
    monitoring.register_location("de-nbg", "Nuremberg", "DE", TESTER)
    projector.catch_up()


def test_recent_events_are_shown_without_reading_the_log_and_as_if_read(
    store: Store, owners: Owners, projector: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        reads_nothing(projector, patch)
        work(store, owners, projector)

    followed, reached = shown(projector), projector.view.tracked_position()
    projector.rebuild()
    assert followed == shown(projector)
    assert reached == projector.view.tracked_position()
    assert reached[0] == projector.log.head()


def test_what_another_process_recorded_between_is_read(
    place: Place, store: Store, owners: Owners, projector: Projector
) -> None:
    first = store.monitoring.create_monitor(owners.create(), TESTER)
    with place.open() as other:
        second = other.monitoring.create_monitor(owners.create(), TESTER)
    third = store.monitoring.create_monitor(owners.create(), TESTER)

    projector.catch_up()

    monitors = dict(shown(projector)["monitors"])
    assert monitors.keys() == {str(each.id) for each in (first, second, third)}
    assert projector.view.position() == projector.log.head()


def test_what_another_process_has_shown_already_is_not_shown_twice(
    place: Place, store: Store, owners: Owners, projector: Projector
) -> None:
    store.monitoring.create_monitor(owners.create(), TESTER)
    with place.open() as other, Views(other) as their_views:
        their_views.projector("monitors").catch_up()

    assert projector.catch_up() == 0
    made = store.monitoring.create_monitor(owners.create(), TESTER)
    assert projector.catch_up() == 2

    assert str(made.id) in dict(shown(projector)["monitors"])


def test_what_is_older_is_read_because_the_log_may_have_lost_it(
    store: Store, owners: Owners, projector: Projector
) -> None:
    now = [0.0]
    kept = RecentEvents(lambda: now[0])
    start = projector.log.head()
    store.monitoring.observers.append(kept.note)
    store.monitoring.create_monitor(owners.create(), TESTER)
    store.monitoring.observers.remove(kept.note)

    now[0] = KEPT_SECONDS
    assert len(kept.after(start)) == 2
    now[0] += 0.1
    assert kept.after(start) == []


def test_only_the_newest_events_are_kept(
    store: Store, owners: Owners, projector: Projector
) -> None:
    projector.recent_events = RecentEvents(most=2)
    store.monitoring.observers.append(projector.recent_events.note)
    start = projector.view.position()
    store.monitoring.create_monitor(owners.create(), TESTER)
    store.monitoring.create_monitor(owners.create(), TESTER)

    assert projector.recent_events.after(start) == []
    assert [each.position for each in projector.recent_events.after(start + 2)] == [
        start + 3,
        start + 4,
    ]
    projector.catch_up()

    assert projector.view.count()["monitors"] == 2
