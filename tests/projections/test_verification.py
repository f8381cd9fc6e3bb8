"""Verifying a view: every kind of difference is found and named, no value is, all goes on."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from domain.commands import UpdateMonitor
from projections.core import verify as verification
from projections.core.table import ViewUnavailableError
from projections.core.verify import ViewComparison, ViewDifference, verify
from tests.domain.given import TESTER
from tests.places import on_sqlite
from tests.projections.folding import catch_up, everything, fill, in_batches_of
from tests.projections.spoiling import record_of, spoil, spoil_side

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.catalog import Views
    from projections.core.projector import OnProgress
    from projections.core.table import Record
    from projections.core.verify import DifferenceKind
    from store.store import Store
    from tests.domain.given import Owners


def verdict(
    views: Views, name: str = "monitors", report: OnProgress = lambda *_: None
) -> ViewComparison:
    """Verify a view."""
    projector = views.projector(name)
    with closing(views.storage.scratch(projector.projection)) as scratch:
        return verify(projector, scratch, report)


@pytest.fixture
def key(store: Store, owners: Owners, views: Views) -> str:
    """The public id of a monitor in a view of many rows."""
    fill(store, owners)
    config = {"auth": {"user": "someone", "pass": "hidden"}}
    monitor = store.monitoring.create_monitor(owners.create(name="it", config=config), TESTER)
    catch_up(views)
    return str(monitor.id)


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("batch", [3, 5000])
def test_a_view_that_is_right_is_found_equal_and_left_alone(views: Views, batch: int) -> None:
    in_batches_of(views, batch)
    before = everything(views)
    for name, projector in views.projectors.items():
        found = verdict(views, name)
        assert found.differences == ()
        assert found.position == projector.log.head() > 0
        assert found.rows == sum(projector.view.count().values()) > 0
        assert projector.view.generation() == 1
        assert projector.rebuilder.position() is None
    assert everything(views) == before


def without_port(record: Record) -> Record:
    """Return a record that lacks a field."""
    return {name: value for name, value in record.items() if name != "port"}


def leaked(record: Record) -> Record:
    """Return a record with another secret."""
    changed: Record = orjson.loads(orjson.dumps(record).replace(b"sealed:", b"leaked:"))
    return changed


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda record: {**record, "name": "x"}, "name"),
        (leaked, "config.auth.pass"),
        (without_port, "port"),
        (lambda record: {**record, "version": 1.0}, "version"),
        (lambda _: orjson.Fragment("no JSON"), "record"),
    ],
)
def test_what_was_changed_in_a_record_is_named_by_its_place(
    store: Store, views: Views, key: str, change: Callable[[Record], object], field: str
) -> None:
    changed = change(orjson.loads(record_of(store, "monitors", key)))
    spoil(store, "UPDATE monitors SET record = ? WHERE key = ?", orjson.dumps(changed), key)

    found = verdict(views)

    assert found.differences == (ViewDifference("different", "monitors", key, field),)
    assert "leaked" not in repr(found)


@pytest.mark.parametrize(
    ("statement", "what", "field"),
    [
        ("DELETE FROM monitors WHERE key = ?", "missing", None),
        ("UPDATE monitors SET shown = 1 WHERE key = ?", "different", "column shown"),
    ],
)
def test_what_was_changed_beside_a_record_is_named_by_its_place(  # noqa: PLR0917 - fixtures
    store: Store, views: Views, key: str, statement: str, what: DifferenceKind, field: str | None
) -> None:
    spoil(store, statement, key)

    assert verdict(views).differences == (ViewDifference(what, "monitors", key, field),)


def test_an_unexpected_row_is_found_whatever_its_key_is(
    store: Store, views: Views, key: str
) -> None:
    last = f"{key}~"
    for added in ("!", last, "~"):
        spoil(store, "INSERT INTO tokens (key, record) VALUES (?, '{}')", added)

    found = verdict(views)

    assert found.differences == tuple(
        ViewDifference("unexpected", "tokens", added) for added in sorted(("!", last, "~"))
    )


@pytest.mark.usefixtures("key")
def test_counts_are_compared_too(store: Store, views: Views) -> None:
    spoil(store, "UPDATE monitors_counts SET number = number + 1 WHERE counted LIKE ?", "%smtp%")

    counts = verdict(views).differences

    assert [(each.table, each.field) for each in counts] == [("monitors_counts", "number")] * 2
    assert all("smtp" in each.key for each in counts)


@on_sqlite
@pytest.mark.usefixtures("key")
def test_a_search_index_of_ours_is_compared_too(store: Store, views: Views) -> None:
    spoil(store, "INSERT INTO monitors_parts (rowid, part) VALUES (100, ?)", "xyzzy")

    assert [each.key for each in verdict(views).differences] == ["xyz", "yzz", "zzy"]


@pytest.mark.usefixtures("key")
def test_an_empty_view_lacks_every_row(store: Store, views: Views) -> None:
    rows = views.projector("checks").view.count()["last_checks"]
    spoil(store, "DELETE FROM last_checks", view="checks")

    found = verdict(views, "checks")

    assert [each.what for each in found.differences] == ["missing"] * rows
    assert found.rows == rows > 1


def test_a_view_ahead_of_its_log_is_no_match(store: Store, views: Views, key: str) -> None:
    head = views.projector("monitors").log.head()
    spoil_side(store, "position = position + 7", side="live", view="monitors")

    found = verdict(views)

    assert key
    assert found == ViewComparison(head + 7, 0, (ViewDifference("ahead", "sides", "position"),))


def test_what_happens_meanwhile_is_no_difference(
    store: Store, owners: Owners, views: Views, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_batches_of(views, 5)
    monitors = views.projector("monitors")
    reports: list[int] = []
    compare = verification._compare

    def work() -> None:
        """Let a change, a new monitor, and a rebuild happen."""
        change = UpdateMonitor(store.monitoring.create_monitor(owners.create(), TESTER).id, {})
        store.monitoring.update_monitor(change, TESTER)
        store.monitoring.delete_monitor(change.monitor_id, TESTER)
        monitors.catch_up()

    def report(position: int, _: int) -> None:
        work()
        reports.append(position)

    def compare_late(*arguments: object) -> ViewComparison:
        monitors.rebuild()
        work()
        return compare(*arguments)  # type: ignore[arg-type] # handed on

    monkeypatch.setattr(verification, "_compare", compare_late)

    found = verdict(views, report=report)

    assert found.differences == ()
    assert len(reports) > 5
    assert reports == sorted(reports)
    assert found.position < monitors.view.position() == monitors.log.head()
    assert views.reader.monitor("smtp", key) is not None


@pytest.mark.usefixtures("key")
def test_a_view_of_another_version_is_not_judged(views: Views) -> None:
    projector = views.projector("monitors")
    projector.view.invalidate(projector.view.position())
    with pytest.raises(ViewUnavailableError):
        verdict(views)
