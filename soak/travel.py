"""Reads of the past: at any position and any time, the answers are those of that moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from projections.views import monitors
from projections.views.time_travel import replay
from soak.commands import Commands, hands
from soak.hand import masked
from soak.model import MASK

if TYPE_CHECKING:
    from domain.clock import Point
    from soak.model import Row, Rows


parts = st.floats(0, 1)


class Travel(Commands):
    """Replays of the log, and the `history` view from which the API answers `asOf`."""

    @rule(hand=hands, part=parts)
    def replay_to_a_position(self, hand: int, part: float) -> None:
        position = self._some_position(part)
        assert self._replayed(hand, position) == self._then(position)

    @rule(hand=hands, part=parts)
    def replay_to_a_time(self, hand: int, part: float) -> None:
        time = self.model.times[self._some_position(part) - 1]
        assert self._replayed(hand, time) == self._then(self.model.position_at(time))

    @rule(hand=hands, part=parts)
    def look_back(self, hand: int, part: float) -> None:
        """Every monitor that ever was is shown as it was then, or not at all."""
        position = self._some_position(part)
        views = self.hands[hand].views
        views.projector("history").catch_up()
        then = self._then(position)
        for public_id, row in self._monitors_ever().items():
            found = views.history.monitor(row["kind"], public_id, position)
            if public_id not in then["monitors"]:
                assert found is None
                continue
            assert found is not None
            shown = masked({"monitors": {public_id: found.monitor}})
            assert shown["monitors"][public_id] == then["monitors"][public_id]
            assert found.customer == then["customers"][row["customer_id"]]
            assert found.organization == then["organizations"][row["organization_id"]]

    def _some_position(self, part: float) -> int:
        """Return a position of the `monitoring` log, from 1 to its head."""
        return max(1, round(part * len(self.model.times)))

    def _then(self, position: int) -> Rows:
        return masked(self.model.shown_at("monitors", position))

    def _replayed(self, hand: int, until: Point) -> Rows:
        folded = replay(self.hands[hand].store.reader("monitoring"), until)
        return masked({each.name: dict(folded.rows(each)) for each in monitors.PROJECTION.tables})

    def _monitors_ever(self) -> dict[str, Row]:
        ever: dict[str, Row] = {}
        for rows in self.model.past["monitors"]:
            ever |= rows["monitors"]
        assert all(MASK not in str(row["config"]) for row in ever.values())
        return ever
