"""The reader of the `states` view in SQLite files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from projections.storage.state_queries import ITEM, StateQueries

if TYPE_CHECKING:
    from projections.storage.queries import Bound
    from projections.storage.sqlite_files import ViewFiles


# Statements are put together from constants; values are bound.
# ruff: noqa: S608


class SqliteStates(StateQueries):
    """Reads the files of the `states`, the `monitors` and the `checks` view together."""

    # CROSS JOIN keeps the rows in the order of the page.
    PAGE = f"""
    SELECT (
        SELECT group_concat({ITEM}, ',')
        FROM (
            SELECT key, organization_id, customer_id, item FROM states WHERE {{where}}
            ORDER BY {{order}} LIMIT :limit OFFSET :offset
        ) AS m
        CROSS JOIN customers c ON c.key = m.customer_id
    ), (SELECT position FROM main.sides WHERE side = 'live')
    """

    def __init__(self, files: ViewFiles) -> None:
        """Take the files, that of the `states` view as the main one."""
        self._files = files

    @override
    def close(self) -> None:
        self._files.close()

    @override
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        return self._files.select(statement, bound)
