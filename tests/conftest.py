"""Stores, views, and a world with every persona, for the tests of all layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.store import create_store
from projections.views import Views
from tests.api.world import make_world
from tests.domain.given import make_owners

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from domain.store import Store
    from tests.api.world import Caller, World
    from tests.domain.given import Owners


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store in a data folder of its own."""
    with create_store(tmp_path / "data") as opened:
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
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An app with every persona, shared by the tests of a module, each with its own monitors."""
    made = make_world(tmp_path_factory.mktemp("world") / "data")
    yield made
    made.close()


@pytest.fixture
def fresh_world(tmp_path: Path) -> Iterator[World]:
    """An app with every persona and no monitors."""
    made = make_world(tmp_path / "data")
    yield made
    made.close()


@pytest.fixture
def admin(world: World) -> Caller:
    """The client that may do everything in its organization."""
    return world.admin
