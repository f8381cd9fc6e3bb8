"""One value of many events: how it is written small, and read back row by row."""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from itertools import accumulate, repeat
from operator import sub
from typing import TYPE_CHECKING, Any, Final

from domain.archive.forms import FORMS
from domain.archive.numbers import fits, pack, unpack
from domain.archive.texts import bytes_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from domain.archive.forms import Form

ONE, FEW, MANY = "one", "few", "many"
"""Forms of texts: the same one in all rows; a list of them, and which; each by itself."""

_FEW_SHARE: Final = 8
"""A list of texts pays when each stands for this many rows."""

_LENGTH: Final = 4
_LEVEL: Final = 9

_PHASES: Final = (
    "dns",
    "connect",
    "tls",
    "greeting",
    "ehlo",
    "capability",
    "starttls",
    "auth",
    "mailbox",
    "quit",
)
RELATED: Final[Mapping[str, tuple[tuple[str, int], ...]]] = {
    "total": tuple((phase, 1) for phase in _PHASES),
    "started_at": (("due_at", 1),),
    "timestamp": (("started_at", 1000), ("total", 1)),
}
"""Of what sum, by names and factors, a number of a check is nearly the same. In writing only:
a file says itself what was subtracted."""

POSITION, STREAM, ROW_VERSION, TOPIC, TEMPLATE = (
    '"position',
    '"stream',
    '"version',
    '"topic',
    '"state',
)
"""The columns of the rows themselves; no key of a state has a name that begins so."""

_TEXTS: Final = frozenset({STREAM, TOPIC, TEMPLATE})
"""Columns that are texts, also if they look like numbers: they are searched and counted."""

_STEPS: Final = frozenset({"due_at", POSITION, ROW_VERSION})
"""Numbers that grow evenly within a stream."""


class Writing:
    """Turns columns into bytes. Numbers that are nearly a sum of others come after these."""

    def __init__(self) -> None:
        self.described: list[dict[str, Any]] = []
        self.sections: list[bytes] = []
        self._numbers: dict[str, list[int]] = {}
        self._forms: dict[str, str] = {}

    def add(self, columns: Mapping[str, Sequence[str | None]]) -> None:
        """Take columns of equally many rows; None is a row without that value."""
        for name, texts in columns.items():
            if not self._add_few(name, texts):
                self._add_numbers(name, texts)

    def add_integers(self, name: str, numbers: list[int]) -> None:
        """Take a column that is numbers whatever they are."""
        self._numbers[name] = numbers
        self._forms[name] = "integer"

    def finish(self) -> None:
        """Write the numbers, now that all are known."""
        for name, numbers in self._numbers.items():
            self._write_numbers(name, numbers)

    def _add_few(self, name: str, texts: Sequence[str | None]) -> bool:
        found = [text for text in dict.fromkeys(texts) if text is not None]
        if len(found) > max(len(texts) // _FEW_SHARE, 1):
            return False
        which = {text: number for number, text in enumerate(found)}
        if len(found) == 1:
            self._write(name, ONE, pack_texts(which))
        else:
            self._write(name, FEW, pack_texts(which), pack(list(_filled(which, texts))))
        return True

    def _add_numbers(self, name: str, texts: Sequence[str | None]) -> None:
        for form_name, form in FORMS.items() if name not in _TEXTS else ():
            numbers = form.numbers(texts)
            if numbers is not None and fits(numbers):
                self._numbers[name] = numbers
                self._forms[name] = form_name
                return
        self._write(name, MANY, pack_texts("" if text is None else text for text in texts))

    def _write_numbers(self, name: str, numbers: list[int]) -> None:
        less = [each for each in RELATED.get(name, ()) if each[0] in self._numbers]
        found = numbers
        for other, factor in less:
            found = list(map(sub, found, [factor * each for each in self._numbers[other]]))
        steps = name in _STEPS
        if steps:
            found = [found[0], *map(sub, found[1:], found)]
        more = {"less": less} if less else {}
        self._write(name, self._forms[name], pack(found), **more, **({"steps": 1} if steps else {}))

    def _write(self, name: str, form: str, *parts: bytes, **more: Any) -> None:  # noqa: ANN401 - of JSON
        packed = [zlib.compress(part, _LEVEL) for part in parts]
        self.sections += packed
        sizes = [len(part) for part in packed]
        self.described.append({"name": name, "form": form, "sizes": sizes, **more})


class Column:
    """A column that is read; decompressed when it is first asked."""

    def __init__(
        self, described: Mapping[str, Any], parts: Sequence[bytes], count: int, others: Columns
    ) -> None:
        self._form: str = described["form"]
        self._less: list[tuple[str, int]] = described.get("less", [])
        self._steps = bool(described.get("steps"))
        self._parts = parts
        self._count = count
        self._others = others
        self._texts: list[str] = []
        self._numbers: Sequence[int] | None = None

    def numbers(self) -> Sequence[int]:
        """Return the numbers of all rows; where it is one of `texts`, which."""
        if self._numbers is None:
            self._numbers = self._read_numbers()
        return self._numbers

    def texts(self) -> list[str]:
        """Return the different texts, in the order in which they first came."""
        if not self._texts:
            self._texts = unpack_texts(zlib.decompress(self._parts[0]))
        return self._texts

    def rows_of(self, text: str) -> range:
        """Return the rows of a text in a column whose rows are sorted by their texts."""
        if self._form == MANY:
            return range(bisect_left(self.texts(), text), bisect_right(self.texts(), text))
        if text not in self.texts():
            return range(0)
        numbers, sought = self.numbers(), self.texts().index(text)
        return range(bisect_left(numbers, sought), bisect_right(numbers, sought))

    def shown(self, rows: Sequence[int]) -> Iterable[object]:
        """Return what `%s` writes as the texts of some rows."""
        if self._form == ONE:
            return repeat(self.texts()[0], len(rows))
        if self._form == MANY:
            return map(self.texts().__getitem__, rows)
        numbers = list(map(self.numbers().__getitem__, rows))
        if self._form == FEW:
            return map(self.texts().__getitem__, numbers)
        form: Form = FORMS[self._form]
        return form.shown(numbers)

    def _read_numbers(self) -> Sequence[int]:
        if self._form == ONE:
            return [0] * self._count
        if self._form == MANY:
            return range(self._count)
        found: Sequence[int] = unpack(zlib.decompress(self._parts[-1]), self._count)
        if self._steps:
            found = list(accumulate(found))
        for name, factor in self._less:
            other = self._others[name].numbers()
            found = [each + factor * more for each, more in zip(found, other, strict=True)]
        return found


Columns = dict[str, Column]


def read_columns(described: Sequence[Mapping[str, Any]], sections: bytes, count: int) -> Columns:
    """Return the columns of a file by name. Raises ValueError when the bytes are not theirs."""
    columns: Columns = {}
    start = 0
    for each in described:
        parts = []
        for size in each["sizes"]:
            parts.append(sections[start : start + size])
            start += size
        columns[each["name"]] = Column(each, parts, count, columns)
    if start != len(sections):
        raise ValueError("the sections are not as long as the header says")
    return columns


def _filled(which: Mapping[str, int], texts: Iterable[str | None]) -> Iterator[int]:
    """Yield which text each row has; a row without one has that of the row before it."""
    last = 0
    for text in texts:
        last = last if text is None else which[text]
        yield last


def pack_texts(texts: Iterable[str]) -> bytes:
    """Return texts as bytes: their lengths, then all of them."""
    kept = list(texts)
    lengths = pack([len(text) for text in kept])
    head = len(kept).to_bytes(_LENGTH, "little") + len(lengths).to_bytes(_LENGTH, "little")
    return head + lengths + bytes_of("".join(kept))


def unpack_texts(data: bytes) -> list[str]:
    """Return the texts. Raises ValueError when the bytes are not theirs."""
    count = int.from_bytes(data[:_LENGTH], "little")
    start = 2 * _LENGTH + int.from_bytes(data[_LENGTH : 2 * _LENGTH], "little")
    lengths = unpack(data[2 * _LENGTH : start], count)
    text = text_of(data[start:])
    if sum(lengths) != len(text):
        raise ValueError("the texts are not as long as their lengths say")
    return list(_cut(text, lengths))


def _cut(text: str, lengths: Iterable[int]) -> Iterator[str]:
    start = 0
    for length in lengths:
        yield text[start : start + length]
        start += length
