"""What most commands of an operator need: the store, its views, and the actor of a change."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from cli.terminal.view_making import make_current
from domain.actor import Actor, operator
from projections.catalog import Views
from projections.core.table import ViewUnavailableError
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import open_from_settings
from service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from projections.core.table import Record
    from projections.readers.monitors import MonitorReader
    from store.store import Store


T = TypeVar("T")


class OperatorSession:
    """The store and the views while a command runs."""

    def __init__(self, store: Store, views: Views) -> None:
        self.store = store
        self.views = views

    @property
    def reader(self) -> MonitorReader:
        """The reader of the views. Those that the session was opened for are up to date."""
        return self.views.reader

    @property
    def actor(self) -> Actor:
        """The operator, as events record who made a change."""
        return operator(_user())

    def require(self, *views: str) -> None:
        """Bring views to the heads of their logs; make those that are missing first."""
        for name in views:
            make_current(self.views.projector(name), self.store.engine.locks)

    def read(self, view: str, query: Callable[[], T]) -> T:
        """Return the result of a query of a view; make the view first if it cannot be read.

        A view that is behind, or of an older version, is read as it is.
        """
        try:
            return query()
        except ViewUnavailableError:
            self.require(view)
            return query()

    def catch_up(self) -> None:
        """Bring the monitors view to the head of its log after a change."""
        self.views.projector("monitors").catch_up()

    def organization(self, identifier: str | None) -> Record:
        """Return an organization by number or public id; None means the only one."""
        if identifier is not None:
            return _require(
                self.reader.organization(_identifier(identifier)), "organization", identifier
            )
        organizations = self.reader.organizations()
        if len(organizations) != 1:
            raise CommandError(
                ExitCode.FAILED,
                f"there are {len(organizations)} organizations; say which with --organization "
                "(see `postwatch organization list`)",
            )
        return organizations[0]

    def customer(self, identifier: str) -> Record:
        """Return a customer by number or public id."""
        return _require(self.reader.customer(_identifier(identifier)), "customer", identifier)


@contextmanager
def operator_session(*needed: str) -> Iterator[OperatorSession]:
    """Open the store that the settings name, with the views that the command needs.

    A failure inside the block ends the command with one line and its exit code.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        with open_from_settings(settings) as store, Views(store) as views:
            opened = OperatorSession(store, views)
            opened.require(*needed)
            yield opened


def _identifier(text: str) -> int | str:
    return int(text) if text.isdecimal() else text.lower()


def _require(record: Record | None, what: str, identifier: str) -> Record:
    if record is None:
        raise CommandError(
            ExitCode.FAILED, f"there is no {what} {identifier}; see `postwatch {what} list`"
        )
    return record


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
