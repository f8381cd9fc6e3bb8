"""A damaged end of a log: all complete events survive, no garbage is read, writing continues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from soak.torn import cuts, make_live, open_cut

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("damage", [False, True])
def test_exactly_what_was_whole_before_the_damage_is_there(tmp_path: Path, *, damage: bool) -> None:
    live = make_live(tmp_path, 12)

    for at in cuts(live, every=7):
        if damage and at >= live.wal.stat().st_size:
            continue
        assert open_cut(live, at, tmp_path / "cut", damage=damage) == live.events_before(at)


@pytest.mark.thorough
def test_frames_of_an_earlier_round_never_come_back(tmp_path: Path) -> None:
    live = make_live(tmp_path, 12, reuse=True)

    for at in cuts(live, every=11):
        held = open_cut(live, at, tmp_path / "cut")
        assert live.folded_back <= held <= len(live.history)
