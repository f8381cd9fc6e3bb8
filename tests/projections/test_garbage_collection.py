"""Folding makes no reference cycles, so the cyclic garbage collector may run seldom."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from projections.core.runner import relax_gc
from tests.domain.realistic import Fleet, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.catalog import Views
    from store.store import Store


CHECKS = 300


@pytest.fixture
def usual() -> Iterator[None]:
    """Let the collector work as usual afterwards."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("usual")
def test_folding_leaves_nothing_that_only_the_collector_would_find(
    store: Store, views: Views
) -> None:
    record(store, Fleet(20).checks(CHECKS))
    relax_gc()

    for name in ("checks", "roll_ups"):
        views.projector(name).catch_up()
        views.projector(name).rebuild()

    assert gc.get_count()[1:] == (0, 0)
    assert gc.collect() < CHECKS
