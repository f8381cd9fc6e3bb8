"""A segment: consecutive events of a log as one file.

It consists of a line with the version, the length of the header, the header (compressed
JSON), the columns, and a SHA-256 over all of it. The events are sorted by stream, so that
what a stream repeats compresses well.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import defaultdict
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from domain.errors import ArchiveError
from domain.event_mapper import Row
from store.archive.columns import (
    POSITION,
    ROW_VERSION,
    STREAM,
    TEMPLATE,
    TOPIC,
    ColumnWriter,
    as_format,
    bytes_of,
    column_names,
    read_columns,
    split,
    text_of,
)
from store.proof.leaf import leaf_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


VERSION: Final = 1
MOST_EVENTS: Final = 65_536
"""Events in one segment. With more it is smaller, and takes more memory to read."""

_MAGIC: Final = b"postwatch segment "
_FIRST_LINE: Final = _MAGIC + b"%d\n" % VERSION
_LENGTH: Final = 8
_RECENT_TEXTS: Final = 4096
_DIGEST: Final = 32


class SegmentContents(NamedTuple):
    """Which events a segment has. `digest` is SHA-256 over their leaves, in hexadecimal."""

    first: int
    last: int
    events: int
    digest: str


def contents_of(rows: Sequence[Row]) -> SegmentContents:
    """Return the contents of a segment of these rows: at least one, in the order of positions."""
    digest = sha256()
    for row in rows:
        digest.update(leaf_bytes(row))
    return SegmentContents(rows[0].position, rows[-1].position, len(rows), digest.hexdigest())


def encode(log: str, rows: Sequence[Row]) -> bytes:
    """Return rows of a log as a segment; at least one, in the order of positions."""
    grouped = sorted(rows, key=lambda row: (row.originator_id, row.position))
    columns: dict[str, list[str | None]] = {
        STREAM: [text_of(row.originator_id) for row in grouped],
        ROW_VERSION: [text_of(row.version) for row in grouped],
        TOPIC: [text_of(row.topic) for row in grouped],
        TEMPLATE: [],
    }
    names: dict[str, tuple[str, ...]] = {}
    recent = _RecentTexts()
    for number, row in enumerate(grouped):
        template, values = split(row.state)
        columns[TEMPLATE].append(template)
        if template not in names:
            names[template] = column_names(template)
            for name in names[template]:
                columns.setdefault(name, [None] * len(grouped))
        for name, value in zip(names[template], values, strict=True):
            columns[name][number] = recent.one(value)
    writing = ColumnWriter()
    writing.add(columns)
    writing.add_integers(POSITION, [row.position for row in grouped])
    writing.finish()
    header = {"log": log, **contents_of(rows)._asdict(), "columns": writing.described}
    packed = zlib.compress(orjson.dumps(header), 9)
    length = len(packed).to_bytes(_LENGTH, "little")
    body = b"".join([_FIRST_LINE, length, packed, *writing.sections])
    return body + sha256(body).digest()


class _RecentTexts:
    """Gives equal texts that come soon after each other as one object, which saves memory."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def one(self, text: str) -> str:
        """Return the object that an equal text had of late, else this one."""
        if len(self._known) > _RECENT_TEXTS:
            self._known.clear()
        return self._known.setdefault(text, text)


class Segment:
    """Reads a segment. Decodes only the rows that are asked for."""

    def __init__(self, data: bytes, log: str) -> None:
        """Take the bytes of a file. Raises ArchiveError when they are damaged."""
        header, sections = _open(data)
        with _damage_reported("its header does not fit"):
            self.contents = SegmentContents(*(header[name] for name in SegmentContents._fields))
            self._columns = read_columns(header["columns"], sections, self.contents.events)
            found = header["log"]
        if found != log:
            raise ArchiveError(f"it is of the log {found}, not {log}")

    def after(self, position: int, limit: int) -> list[Row]:
        """Return up to `limit` rows after a position, in order. Raises ArchiveError."""
        with _damage_reported("its columns do not fit"):
            places, order = self._in_order
            start = bisect_right(places, position)
            return self._rows(order[start : start + limit])

    def of_stream(self, stream: bytes, before: int, limit: int) -> list[Row]:
        """Return up to `limit` rows of a stream before a position, newest first."""
        with _damage_reported("its columns do not fit"):
            rows = self._columns[STREAM].rows_of(text_of(stream))
            if not rows:
                return []
            places = self._columns[POSITION].numbers()
            return self._rows([each for each in reversed(rows) if places[each] < before][:limit])

    def require(self, contents: SegmentContents) -> None:
        """Raise ArchiveError unless its header names these contents."""
        if self.contents != contents:
            raise ArchiveError("its events are not those that were archived")

    def check(self) -> None:
        """Raise ArchiveError unless its events have the digest of its header."""
        rows = self.after(self.contents.first - 1, self.contents.events)
        if not rows or contents_of(rows) != self.contents:
            raise ArchiveError("it is damaged: its events are not those it was made of")

    @cached_property
    def _in_order(self) -> tuple[list[int], list[int]]:
        """All positions, sorted, and the row of each."""
        places = self._columns[POSITION].numbers()
        order = sorted(range(self.contents.events), key=places.__getitem__)
        return [places[each] for each in order], order

    @cached_property
    def _templates(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(as_format(each), column_names(each)) for each in self._columns[TEMPLATE].texts()]

    def _rows(self, numbers: Sequence[int]) -> list[Row]:
        states = self._states(numbers)
        places = self._columns[POSITION].numbers()
        fields = (self._shown(name, numbers) for name in (STREAM, ROW_VERSION, TOPIC))
        return [
            Row(places[number], stream, version, topic, states[number])
            for number, stream, version, topic in zip(numbers, *fields, strict=True)
        ]

    def _shown(self, name: str, numbers: Sequence[int]) -> Iterable[bytes]:
        return (bytes_of(str(each)) for each in self._columns[name].shown(numbers))

    def _states(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Return states by row: those of one template together, column by column."""
        which = self._columns[TEMPLATE].numbers()
        alike: defaultdict[int, list[int]] = defaultdict(list)
        for number in numbers:
            alike[which[number]].append(number)
        states: dict[int, bytes] = {}
        for template, some in alike.items():
            form, names = self._templates[template]
            values = zip(*(self._columns[name].shown(some) for name in names), strict=True)
            texts = [form % each for each in values] if names else [form % ()] * len(some)
            states.update(zip(some, map(bytes_of, texts), strict=True))
        return states


@contextmanager
def _damage_reported(what: str) -> Iterator[None]:
    """Turn the errors of decoding damaged bytes into an ArchiveError."""
    try:
        yield
    except _DAMAGED as error:
        raise ArchiveError(f"it is damaged: {what}") from error


_DAMAGED: Final = (ValueError, KeyError, TypeError, IndexError, RecursionError, zlib.error)


def _open(data: bytes) -> tuple[dict[str, Any], bytes]:
    line = data[: data.find(b"\n") + 1]
    version = line.removeprefix(_MAGIC).strip()
    if not line.startswith(_MAGIC) or not version.isdigit():
        raise ArchiveError("it is no segment of an archive, or damaged")
    if int(version) > VERSION:
        raise ArchiveError(
            f"it is of version {int(version)}, this Postwatch reads up to version {VERSION}"
        )
    body = data[:-_DIGEST]
    if sha256(body).digest() != data[-_DIGEST:]:
        raise ArchiveError("it is damaged or cut off: its SHA-256 is not the one it had")
    start = len(line) + _LENGTH
    end = start + int.from_bytes(body[len(line) : start], "little")
    with _damage_reported("its header cannot be read"):
        header: dict[str, Any] = orjson.loads(zlib.decompress(body[start:end]))
    return header, body[end:]
