"""Every view of a store, opened together with the logs that feed them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Self

from domain.errors import StoreError
from domain.storage.write_queue import WriteQueue
from projections import checks, monitors
from projections.catch_up import Projector
from projections.storage.sqlite_reader import SqliteReader
from projections.storage.sqlite_version import require_usable_sqlite
from projections.storage.sqlite_view import SqliteView

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from domain.store import Store
    from projections.projection import Projection
    from projections.reader import Reader

log = logging.getLogger("postwatch.projections")

PROJECTIONS: Final[tuple[Projection, ...]] = (monitors.PROJECTION, checks.PROJECTION)


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
                each, logs[each.log], self._views[each.name], self._queues[each.name].turn
            )
            for each in PROJECTIONS
        }
        for name, projector in self.projectors.items():
            if projector.start_again_if_the_log_is_another():
                log.warning("view %s shows another history than its log; it starts again", name)
        self.reader: Reader = SqliteReader(_path(store, "monitors"), _path(store, "checks"))

    def projector(self, name: str) -> Projector:
        """Return the projector of a view. Raises StoreError when there is none of that name."""
        if name not in self.projectors:
            names = ", ".join(self.projectors)
            raise StoreError(f"there is no projection {name!r}; there are {names}")
        return self.projectors[name]

    def close(self) -> None:
        """Close all views."""
        self.reader.close()
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


def _path(store: Store, name: str) -> Path:
    return store.folder.views / f"{name}.db"
