"""Stores, views, and a world with every persona, for the tests of all layers."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal

import pytest
from hypothesis import HealthCheck, settings

from projections.catalog import Views
from tests.api.world import make_world
from tests.domain.given import make_owners
from tests.places import Place, databases, engines_for, place_on
from tests.postgres_server import find_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store.store import Store
    from tests.api.world import Caller, World
    from tests.domain.given import Owners
    from tests.places import Databases


# New examples in each run, but no deadline: a busy machine is not a failure.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=False,
)
settings.load_profile("any machine")

SCOPES: Final[dict[str, Literal["function", "module"]]] = {
    "place": "function",
    "world": "module",
}
"""How long the fixtures that depend on the engine live."""


def pytest_configure() -> None:
    """Restore the signals that a shell ignores for background runs (`&`, `nohup`)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave all but the first cases of tests marked `quick_cases` out of a quick run."""
    counted: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("quick_cases")
        if mark is None or item.get_closest_marker("thorough"):
            continue
        name = item.nodeid.partition("[")[0]
        counted[name] += 1
        if counted[name] > mark.args[0]:
            item.add_marker(pytest.mark.thorough)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Databases]:
    """A PostgreSQL server for the whole run."""
    with databases() as made:
        yield made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the engines of tests that ask for a place or a world, by their markers."""
    marks = {each.name for each in metafunc.definition.iter_markers()}
    for fixture, scope in SCOPES.items():
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, engines_for(marks), indirect=True, scope=scope)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where a store can be: in a data folder, and then the same in a database."""
    with place_on(request, tmp_path / "data") as made:
        yield made


@pytest.fixture
def other_place(place: Place, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Another place, on the other engine."""
    if place.database is not None:
        yield Place(tmp_path / "other")
        return
    if find_binaries() is None:
        pytest.skip("there is no PostgreSQL server")
    made: Databases = request.getfixturevalue("postgres")
    with made.migrated() as database:
        yield Place(tmp_path / "other", database)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """An empty store of its own."""
    with place.create() as opened:
        yield opened


@pytest.fixture
def owners(store: Store) -> Owners:
    """An organization with a customer, in `store`."""
    return make_owners(store)


@pytest.fixture
def views(store: Store) -> Iterator[Views]:
    """The views of `store`, not caught up."""
    with Views(store) as opened:
        yield opened


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """An app with every persona, shared by the tests of a module, each with its own monitors."""
    with place_on(request, tmp_path_factory.mktemp("world") / "data") as place:
        made = make_world(place)
        yield made
        made.close()


@pytest.fixture
def fresh_world(place: Place) -> Iterator[World]:
    """An app with every persona and no monitors."""
    made = make_world(place)
    yield made
    made.close()


@pytest.fixture
def admin(world: World) -> Caller:
    """The client that may do everything in its organization."""
    return world.admin
