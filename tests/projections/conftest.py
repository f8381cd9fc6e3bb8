"""Places and views of which a test needs many, on every engine."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, contextmanager
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.places import Place
from tests.projections.folding import storage_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from projections.storage.ports import ViewStorage
    from tests.places import Databases

    Places = Callable[[], AbstractContextManager[Place]]
    Storages = Callable[[], AbstractContextManager[ViewStorage]]


@pytest.fixture
def places(place: Place, tmp_path: Path, request: pytest.FixtureRequest) -> Places:
    """Gives an empty place that is gone afterwards, on the engine of `place`."""
    numbers = count()

    @contextmanager
    def another() -> Iterator[Place]:
        root = tmp_path / f"data-{next(numbers)}"
        if place.database is None:
            yield Place(root)
            return
        databases: Databases = request.getfixturevalue("postgres")
        with databases.migrated() as database:
            yield Place(root, database)

    return another


@pytest.fixture
def storages(places: Places) -> Storages:
    """Opens an empty storage that is gone afterwards."""

    @contextmanager
    def another() -> Iterator[ViewStorage]:
        with places() as place, closing(storage_at(place)) as opened:
            yield opened

    return another


@pytest.fixture
def storage(storages: Storages) -> Iterator[ViewStorage]:
    """An empty storage."""
    with storages() as opened:
        yield opened
