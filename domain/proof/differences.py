"""What a difference between a log and its tree is: altered, removed, inserted or moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from domain.proof.findings import Finding, Kind
from domain.proof.leaf import row_hash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.proof.findings import Report
    from domain.proof.leaf import Row

KEPT: Final = 10_000
"""Differences that are looked at one by one; more are only counted."""

_COMPARED: Final = 64
"""Differences that are compared with each other: an event of one position at another."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A position whose event is not what the tree has: either may be missing."""

    position: int
    stored: bytes | None
    row: Row | None

    @property
    def kind(self) -> Kind:
        """What it looks like by itself."""
        if self.stored is None:
            return Kind.INSERTED
        return Kind.REMOVED if self.row is None else Kind.ALTERED


class Differences:
    """All differences of a log, in the order of positions."""

    def __init__(self) -> None:
        self._kept: list[Difference] = []
        self._more = 0

    def add(self, difference: Difference) -> None:
        """Note a difference."""
        if len(self._kept) < KEPT:
            self._kept.append(difference)
        else:
            self._more += 1

    def report(self, report: Report, log_is_right_through: int) -> None:
        """Turn the differences into findings.

        Up to position `log_is_right_through` a signed head fits the log and not the tree:
        there it is the tree that was changed.
        """
        wrong_tree: list[Difference] = []
        others: list[Difference] = []
        for each in self._kept:
            is_right = each.kind is Kind.ALTERED and each.position <= log_is_right_through
            (wrong_tree if is_right else others).append(each)
        for each in wrong_tree:
            message = (
                f"the stored hash of position {each.position} was changed; the event itself "
                "fits the signed heads"
            )
            report.add(Finding(Kind.TREE, message, each.position, each.position))
        moved = list(_moved(others[:_COMPARED]))
        for origin, place in moved:
            message = f"the event of position {origin} stands at position {place}"
            report.add(Finding(Kind.MOVED, message, origin, origin))
        explained = {position for pair in moved for position in pair}
        for group in _grouped([each for each in others if each.position not in explained]):
            report.add(_finding(group), len(group))
        if self._more:
            message = f"{self._more} more events are not as they were"
            report.add(Finding(Kind.ALTERED, message), self._more)


def _moved(differences: Sequence[Difference]) -> Iterator[tuple[int, int]]:
    """Yield where an event belongs and where it stands now."""
    for place in differences:
        for origin in differences:
            if place.row is None or origin.stored is None or place is origin:
                continue
            if row_hash(place.row._replace(position=origin.position)) == origin.stored:
                yield origin.position, place.position


def _grouped(differences: Sequence[Difference]) -> Iterator[list[Difference]]:
    """Yield differences of one kind at neighbouring positions together."""
    group: list[Difference] = []
    for each in differences:
        goes_on = group and (each.kind, each.position) == (
            group[-1].kind,
            group[-1].position + 1,
        )
        if group and not goes_on:
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _finding(group: Sequence[Difference]) -> Finding:
    kind, first, last = group[0].kind, group[0].position, group[-1].position
    what = "the event of position" if first == last else "the events of positions"
    where = f"{first}" if first == last else f"{first} to {last}"
    did = "was" if first == last else "were"
    words = {
        Kind.ALTERED: f"{what} {where} {did} altered",
        Kind.REMOVED: f"{what} {where} {did} removed",
        Kind.INSERTED: f"{what} {where} {did} inserted afterwards",
    }
    return Finding(kind, words[kind], first, last)
