"""Every view of a store, opened together with the logs that feed them."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from domain.errors import StoreError
from domain.storage.holding import held
from domain.storage.write_queue import WriteQueue
from projections import checks, history, monitors, roll_ups
from projections.catch_up import Projector
from projections.storage.sqlite_history import SqliteHistory
from projections.storage.sqlite_reader import SqliteReader, SqliteSource
from projections.storage.sqlite_roll_ups import SqliteRollUps
from projections.storage.sqlite_version import require_usable_sqlite
from projections.storage.sqlite_view import SqliteView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from domain.store import Store
    from projections.history_reader import HistoryReader
    from projections.projection import Projection
    from projections.reader import Reader
    from projections.uptime_report import RollUpReader

log = logging.getLogger("postwatch.projections")

PROJECTIONS: Final[tuple[Projection, ...]] = (
    monitors.PROJECTION,
    checks.PROJECTION,
    history.PROJECTION,
    roll_ups.PROJECTION,
)


_LOOK_AGAIN_SECONDS: Final = 0.2
"""Longer than somebody who only asks who rebuilds holds the lock."""


class Views:
    """The views of a store. Close them, or use them in a `with`."""

    def __init__(self, store: Store) -> None:
        """Open the views, making what is not there yet."""
        require_usable_sqlite()
        logs = {name: store.reader(name) for name in ("monitoring", "checks")}
        self._views = {each.name: SqliteView(_path(store, each.name), each) for each in PROJECTIONS}
        self._queues = {
            each.name: WriteQueue(store.folder.locks / f"{each.name}_view.turn")
            for each in PROJECTIONS
        }
        self.projectors = {
            each.name: Projector(
                each.bound(store),
                logs[each.log],
                self._views[each.name],
                turn=self._queues[each.name].turn,
                alone=partial(_alone, store, each.name),
            )
            for each in PROJECTIONS
        }
        for name, projector in self.projectors.items():
            if projector.view.is_current() and projector.disown_another_history():
                log.warning("view %s shows another history than its log; it starts again", name)
            projector.prepare()
        self.reader: Reader = SqliteReader(
            SqliteSource(_path(store, "monitors"), monitors.PROJECTION.definition),
            SqliteSource(_path(store, "checks"), checks.PROJECTION.definition),
        )
        self.history: HistoryReader = SqliteHistory(_path(store, "history"))
        self.roll_ups: RollUpReader = SqliteRollUps(
            SqliteSource(_path(store, "roll_ups"), roll_ups.PROJECTION.definition)
        )

    def projector(self, name: str) -> Projector:
        """Return the projector of a view. Raises StoreError when there is none of that name."""
        if name not in self.projectors:
            names = ", ".join(self.projectors)
            raise StoreError(f"there is no projection {name!r}; there are {names}")
        return self.projectors[name]

    def close(self) -> None:
        """Close all views."""
        self.reader.close()
        self.history.close()
        self.roll_ups.close()
        for view in self._views.values():
            view.close()
        for queue in self._queues.values():
            queue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def rebuild_lock(store: Store, name: str) -> Path:
    """Return the lock file of whoever rebuilds a view."""
    return store.folder.locks / f"rebuild-{name}.lock"


@contextmanager
def _alone(store: Store, name: str) -> Iterator[None]:
    """Let in one rebuild of a view. Raises HeldError when there is another one."""
    with held(rebuild_lock(store, name), f"rebuild-{name}", wait_seconds=_LOOK_AGAIN_SECONDS):
        yield


def _path(store: Store, name: str) -> Path:
    return store.folder.views / f"{name}.db"
