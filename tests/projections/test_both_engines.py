"""The same logs give the same answers on every engine, byte for byte."""

from __future__ import annotations

from contextlib import closing, contextmanager
from itertools import count, product
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from domain.clock import iso_milliseconds
from domain.errors import NotFoundError
from domain.monitor import Monitor
from projections.catalog import PROJECTIONS, followed_log
from projections.core.projector import Projector
from projections.readers.history import EntryFilter
from projections.readers.monitors import MonitorFilter
from projections.views.history import ENTRY_TYPES
from projections.views.uptime import day_and_hour
from store.ports.engine import LOGS
from store.store import create_store
from tests.domain.given import NOON, TESTER, check_of
from tests.places import Place
from tests.projections.folding import storage_at
from tests.projections.histories import HISTORIES, PARTS, Play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from domain.kinds import Kind
    from projections.core.table import View
    from projections.readers.history import HistoryReader
    from projections.readers.monitors import MonitorReader
    from projections.readers.uptime import RollUpReader
    from projections.storage.ports import ViewStorage
    from store.store import Store
    from tests.places import Databases

    History = list[tuple[float, tuple[Any, ...]]]
    Told = dict[str, Any]


_roots = count()

PRELUDE: History = [
    (0.0, ("customer", 0, "beta 2")),
    *(
        (7.5, ("create", kind, owner, name))
        for kind, owner, name in (
            ("smtp", 0, "Alpha 1"),
            ("smtp", 1, "100% 2"),
            ("imap_pop", 0, "ß 3"),
            ("smtp", 0, "beta 1"),
            ("smtp", 1, "Alpha 3"),
            ("imap_pop", 1, "_ 1"),
        )
    ),
    (0.001, ("update", 0, {"name": "alphabet"})),
    (0.0, ("token", 0)),
    (0.0, ("token", 1)),
    (0.0, ("revoke token", 1)),
    (0.0, ("location", 1, "A place")),
    (7.5, ("delete", 3)),
]
"""Comes before every history, so that each list has some items, and something is gone."""

KINDS: tuple[Kind, ...] = ("smtp", "imap_pop")

SEARCHES = (None, *PARTS, "a", "ALPHA 1", "100%", "_", "\\", "a\0b", "\0", "example.com", "ss", "'")
STRANGE = ("", "no such thing", "\0", "a\0", "%", "33333333-3333-4333-8333-333333333333")


@contextmanager
def both(root: Path, postgres: Databases) -> Iterator[list[ViewStorage]]:
    """An empty storage on each engine."""
    with postgres.migrated() as database:
        places = (Place(root / "files"), Place(root / "none", database))
        with closing(storage_at(places[0])) as one, closing(storage_at(places[1])) as other:
            yield [one, other]


def folded(store: Store, storage: ViewStorage, *, anew: bool) -> dict[str, View]:
    """Make every view of a store in a storage; `anew` by a rebuild."""
    found = {}
    for each in PROJECTIONS:
        view = storage.view(each)
        logs = {name: store.reader(name) for name in LOGS}
        projector = Projector(each.bound(store), followed_log(each, logs), view)
        projector.catch_up()
        if anew:
            projector.rebuild()
        found[each.name] = view
    return found


def stored(views: dict[str, View]) -> Told:
    """Return everything stored in views, without the search index that only SQLite stores."""
    told: Told = {}
    for each in PROJECTIONS:
        view = views[each.name]
        told[each.name] = (
            view.tracked_position(),
            view.count(),
            view.generation(),
            view.is_current(),
        )
        with view.snapshot() as snapshot:
            told[f"{each.name} in a snapshot"] = snapshot.position()
            for table in each.tables:
                beside = (kept for kept in snapshot.derived_rows(table) if kept[0] == "counts")
                told[table.name] = (list(snapshot.rows(table)), sorted(beside))
    return told


def answers(reader: MonitorReader, play: Play) -> Told:
    """Return every answer about the present."""
    told: Told = {
        "tokens": reader.tokens(),
        "organizations": reader.organizations(),
        "customers": reader.customers(),
        "locations": reader.locations(),
        "last checks": reader.last_check_of_locations(),
    }
    hashes = [each["token_hash"] for each in reader.tokens()]
    told["by hash"] = [reader.token(each) for each in (*hashes, *STRANGE)]
    organizations = [str(each.organization.id) for each in play.owners]
    customers = [str(each.customer.id) for each in play.owners]
    identifiers: tuple[int | str, ...] = (*organizations, *customers, *STRANGE, 1, 2, 3, 99)
    for identifier in identifiers:
        told[f"of {identifier!r}"] = (
            reader.organization(identifier),
            reader.customer(identifier),
            reader.tokens(str(identifier)),
            reader.customers(str(identifier)),
        )
    unknown: list[tuple[Kind, str]] = [("smtp", each) for each in STRANGE]
    for kind, public_id in (*play.monitors, *unknown):
        told[f"{kind} {public_id!r}"] = (
            reader.monitor(kind, str(public_id)),
            reader.rendered_monitor(kind, str(public_id)),
            reader.rendered_monitor("imap_pop", str(public_id)),
            reader.last_checks(str(public_id)),
        )
    for owner, customer, search in product(
        (*organizations[:2], "\0"), (None, *customers[:2], "\0"), SEARCHES
    ):
        for of_kind, (page, per_page) in product(KINDS, ((1, 50), (2, 1), (9, 9))):
            which = MonitorFilter(of_kind, owner, customer, search)
            told[f"{which} {page}"] = reader.monitors(which, page, per_page)
    return told


def past_answers(history: HistoryReader, play: Play) -> Told:
    """Return every answer about the past."""
    head = history.position()
    told: Told = {"head": head}
    for seconds in range(0, 120, 7):
        told[f"at {seconds}"] = history.position_at(
            iso_milliseconds(NOON.replace(second=seconds % 60))
        )
    things = [str(each) for _, each in play.monitors] + [
        str(each) for owners in play.owners for each in (owners.organization.id, owners.customer.id)
    ]
    for thing in (*things, *STRANGE):
        told[thing] = (history.thing(thing), history.entries_of(thing, head, 5))
    middle = iso_milliseconds(play.now)
    for which in (
        EntryFilter(1),
        EntryFilter(1, installation=True),
        EntryFilter(1, installation=True, types=ENTRY_TYPES[:3]),
        EntryFilter(1, customer=1, types=ENTRY_TYPES),
        EntryFilter(1, thing=things[0]),
        EntryFilter(1, thing="\0", actor="\0"),
        EntryFilter(1, actor=TESTER["id"]),
        EntryFilter(2, begin=iso_milliseconds(NOON), end=middle),
        EntryFilter(1, end=middle),
    ):
        told[f"{which}"] = (
            history.entries(which, 0, head, 100),
            history.entries(which, head // 2, head, 2),
        )
    for position in range(head + 2):
        told[f"then {position}"] = _then(history, play, position)
    return told


def _then(history: HistoryReader, play: Play, position: int) -> list[Any]:
    organization = str(play.owners[0].organization.id)
    customer = str(play.owners[-1].customer.id)
    told: list[Any] = [history.time_at(position)]
    for kind, public_id in play.monitors[:3]:
        told.append(history.monitor(kind, str(public_id), position))
    for identifier in (1, 2, organization, customer, "\0"):
        told += [history.owner(kind, identifier, position) for kind in ("organization", "customer")]
    for search, of in ((None, None), ("a", None), ("100%", customer), ("\0", None)):
        which = MonitorFilter("smtp", organization, of, search)
        told += [history.monitors(which, position, *each) for each in ((1, 50), (2, 1))]
    return told


def roll_ups(reader: RollUpReader, play: Play) -> Told:
    """Return what is known of checks by days."""
    start = int(NOON.timestamp()) // 3600
    first, last = day_and_hour(start)[0], day_and_hour(start + 48)[0]
    ids = (*(str(each) for _, each in play.monitors), *STRANGE)
    return {
        f"{monitor} {end}": reader.rows(monitor, first, end)
        for monitor, end in product(ids, (first, last))
    }


def with_checks(play: Play) -> None:
    """Record some checks of every monitor that there is, at two places, over two days."""
    for number, (_, public_id) in enumerate(play.monitors):
        try:
            monitor = play.store.monitoring.load(Monitor, public_id, "")
        except NotFoundError:
            continue
        for location in ("place-1", "elsewhere")[: 1 + number % 2]:
            minutes = [0, 5, 59, 61, 1500, 1501][: 1 + number * 2]
            checks = [check_of(monitor, minute) for minute in minutes]
            play.store.checks.record(checks, location=location, actor=TESTER)


def everything_told(storage: ViewStorage, play: Play) -> Told:
    """Ask everything."""
    with (
        closing(storage.reader()) as reader,
        closing(storage.history()) as history,
        closing(storage.roll_ups()) as by_days,
    ):
        return answers(reader, play) | past_answers(history, play) | roll_ups(by_days, play)


@pytest.mark.thorough
@given(history=HISTORIES)
@settings(
    deadline=None,
    max_examples=4,
    # One example takes seconds: to make it smaller would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_every_answer_is_the_same_on_every_engine(
    tmp_path: Path, postgres: Databases, history: History
) -> None:
    root = tmp_path / str(next(_roots))
    with create_store(root / "data") as store, both(root, postgres) as storages:
        play = Play(store)
        play.all([*PRELUDE, *history])
        with_checks(play)
        for anew in (False, True):
            views = [folded(store, each, anew=anew) for each in storages]
            mine, theirs = map(stored, views)
            assert mine == theirs
            told = [everything_told(each, play) for each in storages]
            assert len(told[0]) > 100
            for question, answer in told[0].items():
                assert told[1][question] == answer, question
            for each in views:
                for view in each.values():
                    view.close()
