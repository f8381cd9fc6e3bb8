"""Counts and searches of large lists: always what counting and looking would have found."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.fields import CUSTOMER_DEFAULTS, MONITOR_FIELDS
from projections.catalog import PROJECTIONS
from projections.readers.monitors import MonitorFilter
from projections.storage.derived import SHORTEST_PART, count_key, source_row, update
from projections.storage.sqlite_view import SqliteView
from projections.views.monitors import MONITORS, PROJECTION
from tests.places import ENGINES, SQLITE, Place
from tests.projections.folding import catch_up, fill, open_view, storage_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from projections.catalog import Views
    from projections.core.table import View
    from projections.readers.monitors import MonitorReader
    from projections.storage.ports import ViewStorage
    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Databases


NOW = "2026-01-01T00:00:00.000Z"
OWNERS = {"own": "one", "other": "one", "foreign": "two"}
CUSTOMER_NAMES = {"own": "Straße GmbH", "other": "100% Relay", "foreign": 'A "quoted" one'}
texts = st.text(
    st.one_of(st.sampled_from('aAbßİ"%_* é日🙂'), st.characters(exclude_categories=["C"])),
    min_size=1,
    max_size=8,
)
steps = st.lists(
    st.tuples(
        st.integers(1, 6),
        st.sampled_from(["smtp", "imap_pop"]),
        st.sampled_from(sorted(OWNERS)),
        st.one_of(st.none(), texts),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module", params=[*ENGINES, "postgres without trigrams"])
def storage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ViewStorage]:
    """Where views are, shared by all examples."""
    root = tmp_path_factory.mktemp("storage")
    if request.param == SQLITE:
        yield storage_at(Place(root))
        return
    databases: Databases = request.getfixturevalue("postgres")
    with databases.migrated() as database:
        if request.param != "postgres":
            with psycopg.connect(database.url) as connection:
                connection.execute("DROP EXTENSION pg_trgm")
        with closing(storage_at(Place(root, database))) as opened:
            yield opened


@pytest.fixture(scope="module")
def view(storage: ViewStorage) -> Iterator[View]:
    """A view whose rows each example writes for itself."""
    opened = open_view(storage, PROJECTION)
    with opened.transaction() as transaction:
        for number, organization in enumerate(sorted(set(OWNERS.values())), start=1):
            record = {"public_id": organization, "number": number}
            transaction.put(PROJECTION.tables[0], organization, record)
        for number, (key, name) in enumerate(CUSTOMER_NAMES.items(), start=1):
            customer = {
                **CUSTOMER_DEFAULTS,
                "public_id": key,
                "organization_id": OWNERS[key],
                "number": number,
                "name": name,
                "email": None,
                "created_at": NOW,
                "updated_at": NOW,
            }
            transaction.put(PROJECTION.tables[1], key, customer)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def reader(view: View, storage: ViewStorage) -> Iterator[MonitorReader]:
    """The queries on that view."""
    assert view.is_current()
    open_view(storage, PROJECTIONS[1]).close()
    opened = storage.reader()
    yield opened
    opened.close()


def record(key: int, kind: str, customer: str, name: str) -> dict[str, Any]:
    return {
        "public_id": str(key),
        "kind": kind,
        "organization_id": OWNERS[customer],
        "customer_id": customer,
        "number": key,
        **dict.fromkeys(MONITOR_FIELDS),
        "name": name,
        "hostname": "mail.example.com",
        "config": {},
        "version": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }


def write(view: View, changes: list[tuple[int, str, str, str | None]]) -> list[Any]:
    """Empty the table, write rows over one another, and return the rows that are left."""
    left: dict[int, dict[str, Any]] = {}
    with view.transaction() as transaction:
        for key in range(1, 7):
            transaction.put(MONITORS, str(key), None)
        for key, kind, customer, name in changes:
            row = None if name is None else record(key, kind, customer, name)
            transaction.put(MONITORS, str(key), row)
            left.pop(key, None)
            if row is not None:
                left[key] = row
    return [left[key] for key in sorted(left)]


def matches(monitor: dict[str, Any], which: MonitorFilter) -> bool:
    text = f"{monitor['name'].casefold()}\n{monitor['hostname']}"
    sought = (which.search or "").casefold()
    return (
        monitor["kind"] == which.kind
        and which.organization_id == monitor["organization_id"]
        and which.customer_id in (None, monitor["customer_id"])
        and (sought in text or sought in CUSTOMER_NAMES[monitor["customer_id"]].casefold())
    )


@given(changes=steps, part=st.one_of(texts, st.just("mail.ex"), st.just("nul\0in it")))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_lists_and_totals_are_what_looking_at_each_row_finds(
    view: View,
    reader: MonitorReader,
    changes: list[tuple[int, str, str, str | None]],
    part: str,
) -> None:
    left = write(view, changes)
    left_by_key = {each["public_id"]: each for each in left}

    for search in (None, part, part[:SHORTEST_PART]):
        for organization_id in ("one", "two"):
            for customer_id in (None, "own", "foreign"):
                which = MonitorFilter("smtp", organization_id, customer_id, search)
                expected = [each["public_id"] for each in left if matches(each, which)]
                page = reader.monitors(which, 1, 50)
                items = json.loads(page.items)
                assert [each["publicId"] for each in items] == expected, which
                names = [(each["name"], each["customerName"]) for each in items]
                owners = (CUSTOMER_NAMES[left_by_key[each]["customer_id"]] for each in expected)
                own = (left_by_key[each]["name"] for each in expected)
                assert names == list(zip(own, owners, strict=True)), which
                assert page.total == len(expected), which


def beside(view: View) -> list[tuple[str, str, int]]:
    """Return what is kept beside the monitors."""
    with view.snapshot() as snapshot:
        return sorted(snapshot.derived_rows(MONITORS))


def test_counts_and_parts_are_the_same_after_a_rebuild(
    store: Store, owners: Owners, views: Views
) -> None:
    fill(store, owners)
    catch_up(views)
    monitors = views.projector("monitors")
    which = MonitorFilter("smtp", str(owners.organization.id), search="example")
    found = views.reader.monitors(which, 1, 200)
    before = beside(monitors.view)
    assert before
    assert found.total > 0

    monitors.rebuild(lambda *_: None)

    assert beside(monitors.view) == before
    assert views.reader.monitors(which, 1, 200) == found


def test_a_row_that_stays_the_same_touches_nothing_beside_it(tmp_path: Path) -> None:
    with closing(SqliteView(tmp_path / "monitors.db", PROJECTION)) as view:
        view.create()
        write(view, [(1, "smtp", "own", "Relay")])
        with view.transaction():
            connection = view._connections.get()
            changes = connection.total_changes
            same = source_row(connection, "monitors", MONITORS, "1")
            update(connection, "monitors", MONITORS, same, same)
            assert connection.total_changes == changes


def test_the_name_of_a_count_cannot_be_mixed_up_by_its_values() -> None:
    columns = ("kind", "customer_id")

    assert count_key({"kind": "a", "customer_id": 'b", "c'}, columns) != count_key(
        {"kind": 'a", "customer_id": "b', "customer_id": "c"}, columns
    )
