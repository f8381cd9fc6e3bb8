"""Fixtures: a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from store.store import Store, create_store, open_store
from tests.checker.monitors import Owner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A real store in a new data folder."""
    with create_store(tmp_path / "data") as made:
        yield made


@pytest.fixture
def owner(store: Store) -> Owner:
    """A customer whose monitors the test creates."""
    return Owner(store)


@pytest.fixture
def other_process(store: Store, tmp_path: Path) -> Store:
    """The same store, opened once more as another process would."""
    del store
    return open_store(tmp_path / "data")
