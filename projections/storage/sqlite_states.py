"""The reader of the `states` view in SQLite files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from projections.storage.state_queries import StateQueries

if TYPE_CHECKING:
    from projections.storage.queries import Bound
    from projections.storage.sqlite_files import ViewFiles


# Statements are put together from constants; values are bound.


# Statements are put together from constants; values are bound.
# ruff: noqa: S608


class SqliteStates(StateQueries):
    """Reads the files of the `states`, the `monitors` and the `checks` view together."""

    # CROSS JOIN keeps the rows in the order of the page.
    PAGE = """
    SELECT (
        SELECT group_concat({item}, ',')
        FROM (
            SELECT key, organization_id, customer_id, item, known FROM states WHERE {where}
            ORDER BY {order} LIMIT :limit OFFSET :offset
        ) AS m
        CROSS JOIN customers c ON c.key = m.customer_id {more}
    ), {position}
    """

    def __init__(self, files: ViewFiles) -> None:
        """Take the files, that of the `states` view as the main one."""
        self._files = files

    @override
    def close(self) -> None:
        self._files.close()

    @staticmethod
    @override
    def _position(view: str) -> str:
        schema = "main" if view == "states" else view
        return f"(SELECT position FROM {schema}.sides WHERE side = 'live')"

    @override
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        return self._files.select(statement, bound)
