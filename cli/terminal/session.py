"""What most commands need: the settings, the store, its views, and who is asking."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from cli.terminal.view_making import bring_up_to_date
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


class Session:
    """An operator's command at work on the store."""

    def __init__(self, store: Store, views: Views) -> None:
        self.store = store
        self.views = views

    @property
    def reader(self) -> MonitorReader:
        """The views. Those named when the session was opened are up to date."""
        return self.views.reader

    @property
    def actor(self) -> Actor:
        """Who is asking, as events record it."""
        return operator(_user())

    def require(self, *views: str) -> None:
        """Let views show all that their logs hold; those that are missing are made first."""
        for name in views:
            bring_up_to_date(self.views.projector(name), self.store.engine.locks)

    def read(self, view: str, query: Callable[[], T]) -> T:
        """Return what a query finds in a view, which is made first if it cannot be read.

        One that is behind, or that an older version made, is used as it is if it can be read.
        """
        try:
            return query()
        except ViewUnavailableError:
            self.require(view)
            return query()

    def catch_up(self) -> None:
        """Let every process read what was just written."""
        self.views.projector("monitors").catch_up()

    def organization(self, identifier: str | None) -> Record:
        """Return an organization by number or public id; None means the only one."""
        if identifier is not None:
            return _found(
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
        return _found(self.reader.customer(_identifier(identifier)), "customer", identifier)


@contextmanager
def session(*needed: str) -> Iterator[Session]:
    """Open the store that the settings name, with the views that the command needs.

    Failures end the command with one line.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        with open_from_settings(settings) as store, Views(store) as views:
            opened = Session(store, views)
            opened.require(*needed)
            yield opened


def _identifier(text: str) -> int | str:
    return int(text) if text.isdecimal() else text.lower()


def _found(record: Record | None, what: str, identifier: str) -> Record:
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
