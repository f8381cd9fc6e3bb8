"""The queries on owners, tokens and locations, which are the same on every engine."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from projections.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.view import Record


class OwnerQueries(Reader):
    """A reader that only has to know how its engine selects records."""

    def tokens(self, organization_id: str | None = None) -> Sequence[Record]:
        """Return the tokens of an organization, or all, by number; also revoked ones."""
        return self._all("tokens", organization_id)

    def organization(self, identifier: int | str) -> Record | None:
        """Return an organization by number or public id."""
        return self._one("organizations", _column(identifier), identifier)

    def organizations(self) -> Sequence[Record]:
        """Return all organizations by number."""
        return self._all("organizations")

    def customer(self, identifier: int | str) -> Record | None:
        """Return a customer by number or public id."""
        return self._one("customers", _column(identifier), identifier)

    def customers(self, organization_id: str | None = None) -> Sequence[Record]:
        """Return the customers of an organization, or all, by number."""
        return self._all("customers", organization_id)

    def locations(self) -> Sequence[Record]:
        """Return all locations by number, also retired ones."""
        return self._all("locations")

    @abstractmethod
    def _one(self, table: str, column: str, value: int | str) -> Record | None:
        """Return the record of a table that has a value in a column."""

    @abstractmethod
    def _all(self, table: str, organization_id: str | None = None) -> list[Record]:
        """Return the records of a table, or an organization's, by number."""


def _column(identifier: int | str) -> str:
    return "number" if isinstance(identifier, int) else "key"
