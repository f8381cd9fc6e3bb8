"""The list of projections, and the views of a store opened together with the logs they follow."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from domain.errors import StoreError
from projections.core.joined_log import JoinedLog
from projections.core.projector import Projector
from projections.storage.sqlite_readers import SqliteViews
from projections.views import history, incidents, last_checks, monitors, states, uptime
from store.ports.engine import LOGS
from store.sqlite.engine import SqliteEngine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from projections.core.joined_log import FollowedLog
    from projections.core.projection import Projection
    from projections.storage.ports import ViewStorage
    from store.log_reader import LogReader
    from store.store import Store


log = logging.getLogger("postwatch.projections")

PROJECTIONS: Final[tuple[Projection, ...]] = (
    monitors.PROJECTION,
    last_checks.PROJECTION,
    history.PROJECTION,
    uptime.PROJECTION,
    states.PROJECTION,
    incidents.PROJECTION,
)

PROJECTIONS_LOCK: Final = "projections"
"""The name of the lock of the process that keeps every view current."""

_REBUILD_LOCK_WAIT_SECONDS: Final = 0.2
"""Longer than a process holds the lock that only asks who rebuilds a view."""


def rebuild_lock(name: str) -> str:
    """Return the name of the lock under which a process rebuilds a view."""
    return f"rebuild-{name}"


class Views:
    """The views of a store. Close them, or use them in a `with`."""

    def __init__(self, store: Store) -> None:
        """Open the views, and make those whose log is short (`prepare`)."""
        self.storage = _storage_of(store)
        logs = {name: store.reader(name) for name in LOGS}
        self.projectors = {
            each.name: Projector(
                each.bound(store),
                followed_log(each, logs),
                self.storage.view(each),
                turn=store.engine.turn(f"{each.name}_view"),
                rebuild_lock=partial(
                    store.engine.locks.hold,
                    rebuild_lock(each.name),
                    wait_seconds=_REBUILD_LOCK_WAIT_SECONDS,
                ),
            )
            for each in PROJECTIONS
        }
        self.prepare()
        self.reader = self.storage.reader()
        self.history = self.storage.history()
        self.roll_ups = self.storage.roll_ups()
        self.states = self.storage.states()
        self.incidents = self.storage.incidents()

    def prepare(self) -> None:
        """Make missing views of short logs, and invalidate those that show another history."""
        for name, projector in self.projectors.items():
            if projector.view.is_current() and projector.invalidate_if_diverged():
                log.warning("view %s shows another history than its log; it starts again", name)
            projector.prepare()

    def projector(self, name: str) -> Projector:
        """Return the projector of a view. Raises StoreError when there is none of that name."""
        if name not in self.projectors:
            names = ", ".join(self.projectors)
            raise StoreError(f"there is no projection {name!r}; there are {names}")
        return self.projectors[name]

    def close(self) -> None:
        """Close all views and readers."""
        self.reader.close()
        self.history.close()
        self.roll_ups.close()
        self.states.close()
        self.incidents.close()
        for projector in self.projectors.values():
            projector.view.close()
        self.storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def followed_log(projection: Projection, logs: Mapping[str, LogReader]) -> FollowedLog:
    """Return what a projection is folded from."""
    if not projection.joined:
        return logs[projection.log]
    return JoinedLog([logs[name] for name in (projection.log, *projection.joined)])


def _storage_of(store: Store) -> ViewStorage:
    """Return the storage of the views: files where the logs are files, else the database."""
    if isinstance(store.engine, SqliteEngine):
        return SqliteViews(store.folder.views)
    # Only here: a store of files does not need the time and memory of the database driver.
    from projections.storage.postgres_readers import storage_on  # noqa: PLC0415 - as said above

    return storage_on(store.engine)
