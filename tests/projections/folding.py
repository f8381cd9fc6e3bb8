"""Logs as lists, views to fold them into, and everything that a view shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from domain.commands import CreateCustomer, IssueToken, UpdateMonitor
from projections.catalog import PROJECTIONS, Views
from projections.storage.postgres_readers import PostgresViews
from projections.storage.sqlite_readers import SqliteViews
from store.files.data_folder import DataFolder
from store.log_reader import LoggedEvent, LogReader
from tests.domain.given import CREATE_IMAP, TESTER, check_of
from tests.store.rich_store import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from projections.core.projection import Projection
    from projections.core.table import View, ViewSide
    from projections.storage.ports import ViewStorage
    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


Projections = tuple["Projection", ...]
Rows = dict[str, list[tuple[str, dict[str, Any]]]]


class ListLog(LogReader):
    """A log that is a list. `batch` says how many events each read gives at most."""

    def __init__(self, events: Sequence[LoggedEvent], batch: Callable[[], int]) -> None:
        self.name = "list"
        self._events = events
        self._batch = batch

    def after(self, position: int, limit: int) -> Sequence[LoggedEvent]:
        """Return some events after a position."""
        found = [each for each in self._events if each.position > position]
        return found[: min(limit, self._batch())]

    def each_after(self, position: int, limit: int) -> Iterator[LoggedEvent]:
        """Yield them."""
        return iter(self.after(position, limit))

    def head(self) -> int:
        """Return the last position."""
        return self._events[-1].position if self._events else 0


def storage_at(place: Place) -> ViewStorage:
    """Open the storage of a place's views, without a store."""
    if place.database is not None:
        return PostgresViews(place.database)
    folder = DataFolder(place.root)
    folder.create()
    return SqliteViews(folder.views)


def open_view(storage: ViewStorage, projection: Projection) -> View:
    """Return a view that is there, empty unless it was there before."""
    view = storage.view(projection)
    view.create()
    return view


def rows(view: View, projection: Projection, side: ViewSide = "live") -> Rows:
    """Return every row of every table."""
    return {table.name: list(view.rows(table, side)) for table in projection.tables}


def everything(views: Views) -> dict[str, tuple[int, Rows]]:
    """Return position and rows of every view."""
    return {
        each.name: (
            views.projector(each.name).view.position(),
            rows(views.projector(each.name).view, each),
        )
        for each in PROJECTIONS
    }


def fill(store: Store, owners: Owners, monitors: int = 12) -> None:
    """Let everything happen that a log can hold."""
    commands = store.monitoring
    commands.create_customer(CreateCustomer(owners.organization.id, "Another", None), TESTER)
    for number in range(3):
        token = f"wsm_{number}".ljust(40, "t")
        issued = commands.issue_token(
            IssueToken(owners.organization.id, None, f"Token {number}", "user", token), TESTER
        )
        if number == 1:
            commands.revoke_token(issued.id, TESTER)
    for number in range(monitors):
        command = owners.create(CREATE_IMAP) if number % 3 == 0 else owners.create()
        monitor = commands.create_monitor(command, TESTER)
        for step in range(number % 4):
            changes = {"name": f"Server {number} step {step}", "port": None if step else 25}
            monitor = commands.update_monitor(UpdateMonitor(monitor.id, changes), TESTER)
        for location in ("de-nbg", "fi-hel")[: number % 3]:
            checks = [check_of(monitor, minute) for minute in range(number % 5)]
            store.checks.record(checks, location=location, actor=TESTER)
        if number % 5 == 4:
            commands.delete_monitor(monitor.id, TESTER)
    decide(store, monitor)


def in_batches_of(views: Views, size: int) -> None:
    """Let each view take many transactions where it would take one."""
    for projector in views.projectors.values():
        projector.batch = projector.rebuilder.batch = size


def with_batches_of(size: int, projections: Iterable[Projection] = PROJECTIONS) -> Projections:
    """Return projections whose views take many transactions, also when they are opened."""
    return tuple(replace(each, batch=size, rebuild_batch=size) for each in projections)


def catch_up(views: Views) -> None:
    """Bring every view to the head of its log."""
    for projector in views.projectors.values():
        projector.catch_up()
