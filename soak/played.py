"""A store and its model side by side, and what must be equal after each operation."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

from domain.clock import iso_milliseconds
from soak.hand import Hand, entries, masked
from soak.model import LOG_OF, VIEWS, Model, Row
from store.store import create_store
from tests.domain.given import NOON

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.monitoring import Monitoring


MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
"""A folder in memory: these tests do not depend on what a disk has stored."""


class Played(RuleBasedStateMachine):
    """One store opened twice, as by two processes, and a clock that the state machine moves."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="postwatch-machine-", dir=MEMORY))
        self.count = 0
        self.now = NOON
        self.model = Model()
        self.root = self.fresh_path()
        self.hands: list[Hand] = []
        create_store(self.root).close()
        self.open()

    def teardown(self) -> None:
        """Compare everything once more, and leave nothing behind."""
        try:
            for view in VIEWS:
                self.catch_up_and_compare(view)
            self.compare_secrets_and_proofs()
        finally:
            self.close()
            shutil.rmtree(self.base)

    def open(self) -> None:
        """Open the store twice."""
        self.hands = [Hand(self.root, lambda: self.now) for _ in range(2)]

    def close(self) -> None:
        """Close everything."""
        for hand in self.hands:
            hand.close()
        self.hands = []

    def fresh_path(self) -> Path:
        """Return a path that does not exist yet."""
        self.count += 1
        return self.base / f"{self.count}"

    def monitoring(self, hand: int) -> Monitoring:
        """Return the commands on one of the open stores, and advance the clock."""
        self.now += timedelta(milliseconds=1)
        self.model.time = self.iso
        return self.hands[hand].store.monitoring

    @property
    def iso(self) -> str:
        """The time as records show it."""
        return iso_milliseconds(self.now)

    def pick(self, table: str, number: int) -> Row:
        """Return one of the rows of the model."""
        rows = list(self.model.rows[table].values())
        return rows[number % len(rows)]

    @invariant()
    def the_logs_are_what_the_model_says(self) -> None:
        """Every event is there, once, in order, and every number was given once."""
        for log, expected in self.model.history.items():
            found = self.hands[0].history(log)
            assert entries(found) == expected
            assert [each.position for each in found] == list(range(1, len(expected) + 1))
        for table in ("organizations", "customers", "tokens", "locations"):
            numbers = [row["number"] for row in self.model.rows[table].values()]
            assert numbers == list(range(1, len(numbers) + 1))

    @invariant()
    def the_views_show_some_moment_of_the_past(self) -> None:
        """Assert that each view is at the end of an event, whichever process was interrupted."""
        for view in VIEWS:
            self._compare(view)

    def catch_up_and_compare(self, view: str, hand: int = 0) -> None:
        """Bring a view up to date."""
        self.hands[hand].views.projector(view).catch_up()
        assert self._compare(view) == len(self.model.history[LOG_OF[view]])

    def compare_secrets_and_proofs(self) -> None:
        """Open every secret; let the trees grow, sign heads, verify both logs."""
        self.catch_up_and_compare("monitors")
        clear = {key: row["config"] for key, row in self.model.rows["monitors"].items()}
        assert self.hands[0].clear_configs() == clear
        events = {log: len(history) for log, history in self.model.history.items()}
        assert self.hands[0].prove() == events

    def _compare(self, view: str) -> int:
        position, rows = self.hands[0].shown(view)
        assert rows == masked(self.model.shown_at(view, position))
        return position


def refused(error: type[Exception], command: Callable[..., Any], *arguments: Any) -> None:  # noqa: ANN401 - any command
    """Give a command that must be refused."""
    try:
        command(*arguments)
    except error:
        return
    raise AssertionError(f"{command} was not refused with {error.__name__}")
