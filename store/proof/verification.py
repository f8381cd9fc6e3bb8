"""Verifies a log: its events against the stored hashes, and these against the signed heads.

`LogVerification` is one pass over the log in the order of positions, tile by tile. It
collects what differs in `LogDifferences`, which finds out whether events were altered,
removed, inserted or moved, and computes the roots of the tree at the sizes of the heads
with an `Accumulator`. `HeadReader` takes only heads whose signature is right. The outcome
is a `LogReport` of findings. Nothing is written, and the log may grow meanwhile: events
after the end of the tree are not looked at.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from store.proof.leaf import row_hash
from store.proof.merkle import EMPTY_ROOT, HASH_BYTES, ProofError, complete_levels, node_hash
from store.proof.tiles import TILE, TILE_LEVELS, split_hashes, tile_hash
from store.proof.tree_heads import TreeHead, VerifyingKey, parse_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from domain.event_mapper import Row
    from store.proof.leaf import EventRows
    from store.proof.tiles import LeafTile, TileReader


LISTED: Final = 200
"""How many findings a report lists. All others are only counted."""


class FindingKind(StrEnum):
    """What was changed, and how. These words are documented and do not change."""

    ALTERED = "altered"
    REMOVED = "removed"
    INSERTED = "inserted"
    MOVED = "moved"
    TREE = "tree"
    HEAD = "head"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class LogFinding:
    """One change of a log, its tree or its heads.

    It is at `position` to `through` of the log; both are None when it is not about events.
    `line` is the line of a head in its file.
    """

    kind: FindingKind
    message: str
    position: int | None = None
    through: int | None = None
    line: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the finding as documented JSON."""
        return {
            "kind": self.kind.value,
            "position": self.position,
            "through": self.through,
            "line": self.line,
            "message": self.message,
        }


@dataclass(slots=True)
class LogReport:
    """The outcome of a verification: what was verified, and what was changed.

    `found` counts changed events and all other findings.
    """

    log: str
    events: int = 0
    archived: int = 0
    heads: int = 0
    position: int = 0
    root_hash: str = ""
    found: int = 0
    findings: list[LogFinding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was changed."""
        return not self.found

    def add(self, finding: LogFinding, count: int = 1) -> None:
        """Add a finding. `count`: how many events it is about."""
        self.found += count
        if len(self.findings) < LISTED:
            self.findings.append(finding)

    def as_json(self) -> dict[str, Any]:
        """Return the report as documented JSON."""
        return {
            "log": self.log,
            "ok": self.ok,
            "events": self.events,
            "archived": self.archived,
            "position": self.position,
            "rootHash": self.root_hash,
            "heads": self.heads,
            "found": self.found,
            "findings": [each.as_json() for each in self.findings],
        }


KEPT: Final = 10_000
"""How many differences are examined one by one; more are only counted."""

_COMPARED: Final = 64
"""How many differences are compared with each other, to find moved events."""


@dataclass(frozen=True, slots=True)
class LogDifference:
    """A position where the log differs from the tree: in either the event may be missing."""

    position: int
    stored: bytes | None
    row: Row | None

    @property
    def kind(self) -> FindingKind:
        """What this difference means by itself."""
        if self.stored is None:
            return FindingKind.INSERTED
        return FindingKind.REMOVED if self.row is None else FindingKind.ALTERED


class LogDifferences:
    """All differences of a log, in the order of positions."""

    def __init__(self) -> None:
        self._kept: list[LogDifference] = []
        self._more = 0

    def add(self, difference: LogDifference) -> None:
        """Add a difference, in the order of positions."""
        if len(self._kept) < KEPT:
            self._kept.append(difference)
        else:
            self._more += 1

    def report(self, report: LogReport, log_is_right_through: int) -> None:
        """Turn the differences into findings.

        Up to position `log_is_right_through` a signed head fits the log and not the tree, so
        there the tree was changed.
        """
        wrong_tree: list[LogDifference] = []
        others: list[LogDifference] = []
        for each in self._kept:
            is_right = each.kind is FindingKind.ALTERED and each.position <= log_is_right_through
            (wrong_tree if is_right else others).append(each)
        for each in wrong_tree:
            message = (
                f"the stored hash of position {each.position} was changed; the event itself "
                "fits the signed heads"
            )
            report.add(LogFinding(FindingKind.TREE, message, each.position, each.position))
        moved = list(_moved(others[:_COMPARED]))
        for origin, place in moved:
            message = f"the event of position {origin} was moved to position {place}"
            report.add(LogFinding(FindingKind.MOVED, message, origin, origin))
        explained = {position for pair in moved for position in pair}
        for group in _grouped([each for each in others if each.position not in explained]):
            report.add(_finding(group), len(group))
        if self._more:
            message = f"{self._more} more events are not as they were"
            report.add(LogFinding(FindingKind.ALTERED, message), self._more)


def _moved(differences: Sequence[LogDifference]) -> Iterator[tuple[int, int]]:
    """Yield the old and the new position of each moved event."""
    for place in differences:
        for origin in differences:
            if place.row is None or origin.stored is None or place is origin:
                continue
            if row_hash(place.row._replace(position=origin.position)) == origin.stored:
                yield origin.position, place.position


def _grouped(differences: Sequence[LogDifference]) -> Iterator[list[LogDifference]]:
    """Yield differences of one kind at consecutive positions together."""
    group: list[LogDifference] = []
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


def _finding(group: Sequence[LogDifference]) -> LogFinding:
    kind, first, last = group[0].kind, group[0].position, group[-1].position
    what = "the event of position" if first == last else "the events of positions"
    where = f"{first}" if first == last else f"{first} to {last}"
    did = "was" if first == last else "were"
    words = {
        FindingKind.ALTERED: f"{what} {where} {did} altered",
        FindingKind.REMOVED: f"{what} {where} {did} removed",
        FindingKind.INSERTED: f"{what} {where} {did} inserted afterwards",
    }
    return LogFinding(kind, words[kind], first, last)


class Accumulator:
    """Computes roots of a growing tree from the hashes of full tiles.

    It keeps one hash for each bit of the number of tiles.
    """

    def __init__(self) -> None:
        self.last_tile = b""
        """The hash of the tile that was added last."""
        self._peaks: list[tuple[int, bytes]] = []

    def add_tile(self, value: bytes) -> None:
        """Add the hash over a full tile."""
        self.last_tile = value
        level = TILE_LEVELS
        while self._peaks and self._peaks[-1][0] == level:
            value = node_hash(self._peaks.pop()[1], value)
            level += 1
        self._peaks.append((level, value))

    def root(self, leaves: bytes = b"") -> bytes:
        """Return the root over the tiles and some more leaf hashes, at most those of one tile."""
        peaks = [value for _, value in self._peaks]
        if leaves:
            peaks += _peaks_of(leaves)
        if not peaks:
            return EMPTY_ROOT
        found = peaks.pop()
        while peaks:
            found = node_hash(peaks.pop(), found)
        return found


def _peaks_of(leaves: bytes) -> Iterable[bytes]:
    """Yield the hashes of the complete subtrees of some leaves, from left to right."""
    levels = complete_levels(split_hashes(leaves))
    count, offset = len(levels[0]), 0
    for level in range(len(levels) - 1, -1, -1):
        if count >> level & 1:
            yield levels[level][offset >> level]
            offset += 1 << level


_ROWS: Final = 4096
_TILES: Final = 16
_BEFORE_ALL: Final = -(1 << 63)
"""Below every position: an inserted event may have any."""


class LogVerification:
    """One pass over a whole log. `elsewhere`: positions whose events may be missing."""

    def __init__(
        self,
        log: str,
        rows: EventRows,
        tiles: TileReader,
        heads: Sequence[TreeHead],
        elsewhere: Sequence[range] = (),
    ) -> None:
        """Take the name of the log, its rows and tiles, and the heads with a right signature."""
        self.report = LogReport(log)
        self._rows = _RowFeed(rows)
        self._tiles = tiles
        self._heads = deque(sorted(heads, key=lambda head: head.size))
        self._elsewhere = elsewhere
        self._differences = LogDifferences()
        self._stored, self._logged = Accumulator(), Accumulator()
        self._log_is_right_through = 0
        self._fits = [0]
        self._is_broken = False
        self._tail = b""

    def run(self, progress: Callable[[int, int], None] = lambda *_: None) -> LogReport:
        """Verify everything and return the report. `progress` gets positions, done and all."""
        last = self._tiles.last_leaf_tile()
        total = last.last_position if last else 0
        for expected, tile in enumerate(self._all_tiles()):
            if tile.number != expected:
                message = f"the stored hashes from leaf {expected * TILE} on are gone"
                self.report.add(LogFinding(FindingKind.TREE, message))
                return self.report
            self._verify_tile(tile)
            progress(tile.last_position, max(total, tile.last_position))
        self._differences.report(self.report, self._log_is_right_through)
        for head in self._heads:
            message = (
                f"the events from position {self.report.position + 1} to {head.position} were "
                f"removed: the head signed at {head.time} has {head.size} events, the log has "
                f"{self.report.events}"
            )
            where = (self.report.position + 1, head.position)
            self.report.add(LogFinding(FindingKind.REMOVED, message, *where))
        self.report.root_hash = self._stored.root(self._tail).hex()
        return self.report

    def _all_tiles(self) -> Iterator[LeafTile]:
        number = 0
        while tiles := self._tiles.leaf_tiles(number, _TILES):
            yield from tiles
            number = tiles[-1].number + 1

    def _verify_tile(self, tile: LeafTile) -> None:
        rows = self._rows.through(tile.last_position)
        stored, logged = self._compare(tile, rows)
        self._verify_heads(tile, stored, logged)
        self.report.events += tile.count
        self.report.position = tile.last_position
        if tile.count == TILE:
            value = self._tile_hash(tile, stored)
            self._stored.add_tile(value)
            self._logged.add_tile(value if logged == stored else self._tile_hash(tile, logged))
            self._verify_nodes(tile)
        else:
            self._tail = stored

    def _compare(self, tile: LeafTile, rows: Sequence[Row]) -> tuple[bytes, bytes]:
        """Return the hashes of the tile as stored and as the log has them; note differences.

        Both are empty when the hashes were dropped and the events are not all here.
        """
        positions = tile.positions()
        if tile.hashes is None:
            return self._compare_dropped(tile, rows)
        hashes = b"".join(map(row_hash, rows))
        if hashes == tile.hashes and [row.position for row in rows] == positions:
            return hashes, hashes
        return tile.hashes, self._differ(positions, split_hashes(tile.hashes), rows)

    def _differ(
        self, positions: Sequence[int], stored: Sequence[bytes], rows: Sequence[Row]
    ) -> bytes:
        """Note every difference; return the hashes of the log, completed from the stored ones."""
        tree = dict(zip(positions, stored, strict=True))
        log = {row.position: row for row in rows}
        logged = {position: row_hash(row) for position, row in log.items()}
        for position in sorted(tree.keys() | log.keys()):
            known, row = tree.get(position), log.get(position)
            if row is None and self._is_elsewhere(position):
                self.report.archived += 1
            elif known is None or logged.get(position) != known:
                self._differences.add(LogDifference(position, known, row))
        return b"".join(logged.get(position, known) for position, known in tree.items())

    def _compare_dropped(self, tile: LeafTile, rows: Sequence[Row]) -> tuple[bytes, bytes]:
        hashes = b"".join(map(row_hash, rows))
        first, last = tile.first_position, tile.last_position
        if [row.position for row in rows] != tile.positions():
            missing = set(tile.positions()) ^ {row.position for row in rows}
            if all(map(self._is_elsewhere, missing)):
                self.report.archived += len(missing)
                return b"", b""
            message = f"events of the positions {first} to {last} were removed or inserted"
            self.report.add(LogFinding(FindingKind.REMOVED, message, first, last))
            return b"", b""
        if tile_hash(hashes) != self._node(1, tile.number):
            message = f"an event of the positions {first} to {last} was altered"
            self.report.add(LogFinding(FindingKind.ALTERED, message, first, last))
            return b"", b""
        return hashes, hashes

    def _is_elsewhere(self, position: int) -> bool:
        return any(position in each for each in self._elsewhere)

    def _verify_heads(self, tile: LeafTile, stored: bytes, logged: bytes) -> None:
        before = tile.number * TILE
        while self._heads and self._heads[0].size <= before + tile.count:
            head = self._heads.popleft()
            inside = (head.size - before) * HASH_BYTES
            if inside == TILE * HASH_BYTES:
                stored = stored or self._node(1, tile.number)
                logged = logged or self._node(1, tile.number)
            elif not stored:
                continue  # Later heads cover the same events.
            self.report.heads += 1
            self._judge(
                head,
                self._stored.root(stored[:inside]) == head.root,
                self._logged.root(logged[:inside]) == head.root,
            )

    def _judge(self, head: TreeHead, fits_stored: bool, fits_logged: bool) -> None:  # noqa: FBT001
        if fits_stored or fits_logged:
            self._fits.append(head.position)
        if fits_logged and not fits_stored:
            self._log_is_right_through = head.position
        elif not fits_stored and not self._is_broken:
            # Every later head is broken by the same change.
            self._is_broken = True
            first = max(each for each in self._fits if each < head.position) + 1
            message = (
                f"an event of the positions {first} to {head.position} was changed together "
                f"with its stored hash: the head signed at {head.time} does not fit"
            )
            self.report.add(LogFinding(FindingKind.ALTERED, message, first, head.position))

    def _verify_nodes(self, tile: LeafTile) -> None:
        """Verify the stored hashes over a tile that is full, up to the top."""
        level, index, value = 1, tile.number, self._stored.last_tile
        while True:
            if self._node(level, index) != value:
                message = (
                    f"a stored hash over the positions up to {tile.last_position} was changed "
                    f"(level {level}, number {index})"
                )
                self.report.add(
                    LogFinding(FindingKind.TREE, message, tile.first_position, tile.last_position)
                )
                return
            if index % TILE != TILE - 1:
                return
            value = tile_hash(self._tiles.node_tile(level, index // TILE))
            level, index = level + 1, index // TILE

    def _tile_hash(self, tile: LeafTile, hashes: bytes) -> bytes:
        return tile_hash(hashes) if hashes else self._node(1, tile.number)

    def _node(self, level: int, index: int) -> bytes:
        number, offset = divmod(index, TILE)
        hashes = self._tiles.node_tile(level, number)
        return hashes[offset * HASH_BYTES : (offset + 1) * HASH_BYTES]


class _RowFeed:
    """Reads the rows of a log in order, many at a time, and gives them out up to a position."""

    def __init__(self, rows: EventRows) -> None:
        self._rows = rows
        self._read: deque[Row] = deque()
        self._position = _BEFORE_ALL

    def through(self, position: int) -> list[Row]:
        """Return the next rows up to a position."""
        found: list[Row] = []
        while True:
            while self._read and self._read[0].position <= position:
                found.append(self._read.popleft())
            if self._read or self._position >= position:
                return found
            batch = self._rows.after(self._position, _ROWS)
            self._read.extend(batch)
            # No more rows: events that come while this runs are after the tree.
            self._position = batch[-1].position if batch else position


class HeadReader:
    """Reads signed heads: keeps the right ones, and a finding for each of the others."""

    def __init__(self, log: str, key: VerifyingKey) -> None:
        self.heads: list[TreeHead] = []
        self.findings: list[LogFinding] = []
        self._log = log
        self._key = key

    def read(self, lines: Iterable[tuple[int, bytes]], source: str) -> None:
        """Read the heads of one file, oldest first; findings name it as `source`."""
        size = 0
        for number, line in lines:
            try:
                head = parse_head(line)
            except ProofError as error:
                self._find(source, number, str(error))
                continue
            wrong = self._wrong_with(head, size)
            if wrong:
                self._find(source, number, wrong)
            else:
                self.heads.append(head)
                size = head.size

    def _wrong_with(self, head: TreeHead, size: int) -> str | None:
        if head.log != self._log:
            return f"this head is of the log {head.log}"
        if head.key_id != self._key.key_id:
            return f"this head was signed by key {head.key_id}, not {self._key.key_id}"
        if not self._key.signed(head):
            return "the signature does not fit: the head was changed"
        if head.size < size:
            return f"this head has fewer events ({head.size}) than the one before it ({size})"
        return None

    def _find(self, source: str, number: int, message: str) -> None:
        text = f"{source}, line {number}: {message}"
        self.findings.append(LogFinding(FindingKind.HEAD, text, line=number))
