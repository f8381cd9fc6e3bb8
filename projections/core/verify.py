"""Is a view what its log makes of it? Compares it row by row with one built anew.

Everything runs on meanwhile and nothing is changed: the other view is a scratch one, brought
to exactly the position at which the live one is looked at. Differences are named by place,
never by value, because values may be secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from projections.core.projection import apply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.core.projection import Projection
    from projections.core.projector import OnProgress, Projector
    from projections.core.table import StoredRow, Table, View, ViewSnapshot


DifferenceKind = Literal["missing", "unexpected", "different", "ahead"]

_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class ViewDifference:
    """One place at which the view is not what its log says.

    `missing`: the log makes a row that the view lacks; `unexpected`: the other way round;
    `different`: in the row's `field`; `ahead`: the log has no such events at all.
    """

    what: DifferenceKind
    table: str
    key: str = ""
    field: str | None = None


@dataclass(frozen=True, slots=True)
class ViewComparison:
    """What was compared at which position, and what is different there."""

    position: int
    rows: int
    differences: tuple[ViewDifference, ...]


def verify(
    projector: Projector, scratch: View, report: OnProgress = lambda *_: None
) -> ViewComparison:
    """Compare a live view with what its log makes of an empty one. Writes to `scratch` only.

    Raises ViewUnavailableError when the live view was made by another version of the code.
    """
    projector.require_current()
    # Most of the work is done before the live side is held fast: a snapshot that lasts makes
    # SQLite's write-ahead log grow.
    _fill(projector, scratch, projector.view.position(), report)
    with projector.view.snapshot() as live:
        position = live.position()
        _fill(projector, scratch, position, report)
        if scratch.position() < position:
            return ViewComparison(position, 0, (ViewDifference("ahead", "sides", "position"),))
        with scratch.snapshot() as expected:
            return _compare(projector.projection, live, expected, position)


def _fill(projector: Projector, scratch: View, end: int, report: OnProgress) -> None:
    """Fold every event up to position `end` into the scratch view."""
    while (position := scratch.position()) < end:
        events = projector.log.each_after(position, projector.rebuilding.batch)
        with scratch.transaction() as transaction:
            wanted = takewhile(lambda each: each.position <= end, events)
            applied = apply(projector.projection, wanted, transaction)
        if not applied:
            return
        report(scratch.position(), end)


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
        found += _beside(table, live, expected)
    return ViewComparison(position, rows, tuple(found))


def _paired(
    live: Iterator[StoredRow], expected: Iterator[StoredRow]
) -> Iterator[tuple[StoredRow | None, StoredRow | None]]:
    """Put rows of the same key side by side. Both come in the order of their keys."""
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


def _beside(table: Table, live: ViewSnapshot, expected: ViewSnapshot) -> Iterator[ViewDifference]:
    """Compare counts and search index."""
    mine, other = (
        {(sort, of): number for sort, of, number in each.derived_rows(table)}
        for each in (live, expected)
    )
    for kind, of in sorted(mine.keys() | other.keys()):
        if mine.get((kind, of), 0) != other.get((kind, of), 0):
            yield ViewDifference("different", f"{table.name}_{kind}", of, "number")
