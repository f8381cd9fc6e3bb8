"""Compares a view row by row with one that is built anew from its log.

All other work continues, and nothing is changed: the other view is a scratch view, built up to
the position of a snapshot of the live view. A difference names table, key and field, never a
value, because values may be secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from projections.core.joined_log import events_between

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.core.projection import Projection
    from projections.core.projector import OnProgress, Projector
    from projections.core.table import StoredRow, Table, View, ViewSnapshot


DifferenceKind = Literal["missing", "unexpected", "different", "ahead"]

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class ViewDifference:
    """One place at which the view differs from the fold of its log.

    `missing`: the log makes a row that the view lacks. `unexpected`: the view has a row that the
    log does not make. `different`: the two differ in the row's `field`. `ahead`: the log does not
    have the events up to the view's position.
    """

    what: DifferenceKind
    table: str
    key: str = ""
    field: str | None = None


@dataclass(frozen=True, slots=True)
class ViewComparison:
    """The position of the comparison, the number of rows compared, and what differs."""

    position: int
    rows: int
    differences: tuple[ViewDifference, ...]


def verify(
    projector: Projector, scratch: View, report: OnProgress = lambda *_: None
) -> ViewComparison:
    """Compare a live view with what its log makes of the empty view `scratch`.

    Raises ViewUnavailableError when another version of the code made the live view.
    """
    projector.require_current()
    # Most of the work comes before the snapshot: SQLite's write-ahead log grows during one.
    _fill(projector, scratch, projector.view.tracked_position(), report)
    with projector.view.snapshot() as live:
        end = live.tracked_position()
        position = end[0]
        _fill(projector, scratch, end, report)
        if scratch.position() < position:
            return ViewComparison(position, 0, (ViewDifference("ahead", "sides", "position"),))
        with scratch.snapshot() as expected:
            return _compare(projector.projection, live, expected, position)


def _fill(projector: Projector, scratch: View, end: tuple[int, str], report: OnProgress) -> None:
    """Fold every event up to the position and mark `end` into the scratch view."""
    while (tracked := scratch.tracked_position())[0] < end[0]:
        events = events_between(projector.log, tracked, end, projector.rebuilder.batch)
        with scratch.transaction() as transaction:
            applied = projector.projection.apply(events, transaction)
        if not applied:
            return
        report(scratch.position(), end[0])


def _compare(
    projection: Projection, live: ViewSnapshot, expected: ViewSnapshot, position: int
) -> ViewComparison:
    rows = 0
    found: list[ViewDifference] = []
    for table in projection.tables:
        for mine, other in _paired(live.rows(table), expected.rows(table)):
            rows += 1
            if mine != other:
                found += _differences(table, mine, other)
        found += _derived_differences(table, live, expected)
    return ViewComparison(position, rows, tuple(found))


def _paired(
    live: Iterator[StoredRow], expected: Iterator[StoredRow]
) -> Iterator[tuple[StoredRow | None, StoredRow | None]]:
    """Yield the rows of each key together. Both sources are in the order of keys."""
    mine, other = next(live, None), next(expected, None)
    while mine or other:
        if other is None or (mine and mine.key < other.key):
            yield mine, None
            mine = next(live, None)
        elif mine is None or other.key < mine.key:
            yield None, other
            other = next(expected, None)
        else:
            yield mine, other
            mine, other = next(live, None), next(expected, None)


def _differences(
    table: Table, mine: StoredRow | None, other: StoredRow | None
) -> Iterator[ViewDifference]:
    if mine is None or other is None:
        key = (mine or other).key  # type: ignore[union-attr] # one of the two is there
        yield ViewDifference("missing" if mine is None else "unexpected", table.name, key)
        return
    for column, one, another in zip(table.columns, mine.columns, other.columns, strict=True):
        if one != another:
            yield ViewDifference("different", table.name, mine.key, f"column {column}")
    for path in _paths(_read(mine.record), _read(other.record)):
        yield ViewDifference("different", table.name, mine.key, path)


def _read(record: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return orjson.loads(record)
    except orjson.JSONDecodeError:
        return _ABSENT


def _paths(one: Any, another: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Yield where two JSON values differ; objects are entered, lists are not."""
    if isinstance(one, dict) and isinstance(another, dict):
        for name in sorted(one.keys() | another.keys()):
            inner = f"{path}.{name}" if path else name
            yield from _paths(one.get(name, _ABSENT), another.get(name, _ABSENT), inner)
    elif type(one) is not type(another) or one != another:
        yield path or "record"


def _derived_differences(
    table: Table, live: ViewSnapshot, expected: ViewSnapshot
) -> Iterator[ViewDifference]:
    """Compare the derived rows that the engines of both views store."""
    both = live.DERIVED & expected.DERIVED
    mine, other = (
        {(name, key): number for name, key, number in each.derived_rows(table) if name in both}
        for each in (live, expected)
    )
    for name, key in sorted(mine.keys() | other.keys()):
        if mine.get((name, key), 0) != other.get((name, key), 0):
            yield ViewDifference("different", f"{table.name}_{name}", key, "number")
