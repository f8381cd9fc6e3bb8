"""A fleet keeps its guarantees while parts are killed and frozen; `make soak` runs longer."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from soak.fleet import Deed, play_fleet
from tests.places import Place

if TYPE_CHECKING:
    from pathlib import Path

    from tests.places import Databases


@pytest.mark.thorough
@pytest.mark.system
@pytest.mark.timeout(300)
def test_a_fleet_keeps_its_promises_while_its_parts_are_killed_and_frozen(
    postgres: Databases, tmp_path: Path
) -> None:
    deeds = [
        Deed("checker-de-nbg-0", "kill"),
        Deed("api-1", "kill"),
        Deed("checker-fi-hel-1", "freeze"),
        Deed("projections-0", "kill"),
    ]

    with postgres.migrated() as database:
        place = Place(tmp_path / "data", database)
        figures = play_fleet(place, tmp_path, Random(3), lambda: iter(deeds))  # noqa: S311 - the same again

    assert figures.kills.total() + figures.freezes.total() == len(deeds)
    assert figures.due
    assert figures.acknowledged
