"""Columns of a segment: one value of many events, compressed together and read row by row.

1. The text of an event's state is split into a template and values (`split`). Both together
   always give back the same bytes, whatever these are.
2. The values of one place in the templates are a column. Texts of a known form (`FORMS`:
   integers, decimals, times) are written as whole numbers, if each text comes back from its
   number letter by letter.
3. Numbers are packed so that they compress well: the lowest byte of each, then the next
   byte of each, and so on.
"""

from __future__ import annotations

import re
import sys
import zlib
from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from itertools import accumulate, repeat
from operator import sub
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


_INTEGER: Final = re.compile(r"-?\d{1,18}")
_DECIMAL: Final = re.compile(r"(\d{1,12})\.(\d{1,3})")
_MOMENT: Final = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d)\.(\d{3}|\d{6})(Z|\+00:00)"')
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_KEPT: Final = 4096
"""Minutes whose text is kept."""


class Form(ABC):
    """A form of texts, each of which stands for a whole number."""

    fills_with_zero = True
    """Whether a row without this value gets 0, or else the number of the row before."""

    @abstractmethod
    def number(self, text: str) -> int | None:
        """Return the number of a text, None for a text of another form."""

    @abstractmethod
    def shown(self, numbers: Sequence[int]) -> Sequence[object]:
        """Return values that `%s` formats as the texts; many in one call, because it is fast."""

    def numbers(self, texts: Sequence[str | None]) -> list[int] | None:
        """Return the numbers of texts, None unless each comes back as it was."""
        found: list[int] = []
        for text in texts:
            if text is None:
                found.append(0 if self.fills_with_zero or not found else found[-1])
                continue
            number = self.number(text)
            if number is None:
                return None
            found.append(number)
        back = self.shown(found)
        same = all(
            text is None or str(each) == text for each, text in zip(back, texts, strict=True)
        )
        return found if same else None


class Integers(Form):
    """`587`, `-3`."""

    @override
    def number(self, text: str) -> int | None:
        """Return the number itself."""
        return int(text) if _INTEGER.fullmatch(text) else None

    @override
    def shown(self, numbers: Sequence[int]) -> Sequence[object]:
        """Return the numbers themselves."""
        return numbers


class Decimals(Form):
    """`12.345`, with one to three digits behind the point, in thousandths."""

    @override
    def number(self, text: str) -> int | None:
        """Return the thousandths."""
        found = _DECIMAL.fullmatch(text)
        return int(found[1]) * 1000 + int(found[2].ljust(3, "0")) if found else None

    @override
    def shown(self, numbers: Sequence[int]) -> Sequence[object]:
        """Return floats, whose shortest form is the text."""
        return [number / 1000 for number in numbers]


class Moments(Form):
    """Times as JSON strings, since 1970. The minutes of checks repeat: their text is kept."""

    fills_with_zero = False

    def __init__(self, digits: int, zone: str) -> None:
        """Take how many digits the seconds have behind the point, and how UTC is written."""
        self._digits = digits
        self._end = f'{zone}"'
        self._zone = zone
        self._per_second: int = 10**digits
        self._minutes: dict[str, int] = {}
        self._texts: dict[int, str] = {}

    @override
    def number(self, text: str) -> int | None:
        """Return the milliseconds or microseconds."""
        found = _MOMENT.fullmatch(text)
        if not found or len(found[3]) != self._digits or found[4] != self._zone:
            return None
        minute = self._minutes.get(found[1])
        if minute is None:
            try:
                minute = (datetime.fromisoformat(f"{found[1]}:00+00:00") - _EPOCH) // _MINUTE
            except ValueError:
                return None
            if len(self._minutes) >= _KEPT:
                self._minutes.clear()
            self._minutes[found[1]] = minute
        in_minute = int(found[2] + found[3])
        return minute * self._per_second * 60 + in_minute

    @override
    def shown(self, numbers: Sequence[int]) -> Sequence[object]:
        """Return the times as they were written."""
        texts, end, digits, per_second = self._texts, self._end, self._digits, self._per_second
        per_minute = per_second * 60
        found: list[object] = []
        for number in numbers:
            minute, rest = divmod(number, per_minute)
            second, fraction = divmod(rest, per_second)
            begin = texts.get(minute) or self._begin(minute)
            found.append(f"{begin}{second:02}.{fraction:0{digits}}{end}")
        return found

    def _begin(self, minute: int) -> str:
        if len(self._texts) >= _KEPT:
            self._texts.clear()
        # Threads share this: another one may empty it at any moment.
        text = '"' + (_EPOCH + minute * _MINUTE).isoformat()[:17]
        self._texts[minute] = text
        return text


FORMS: Final[dict[str, Form]] = {
    "integer": Integers(),
    "decimal": Decimals(),
    "milliseconds": Moments(3, "Z"),
    "microseconds": Moments(6, "+00:00"),
}
"""By the name under which a file refers to them: a name once used keeps its meaning."""


_BYTES: Final = 8
_BITS: Final = 60
"""What numbers may have, so that sums of some still fit into 64."""


def fits(values: Sequence[int]) -> bool:
    """Return whether numbers can be packed."""
    return not values or max(*values, -min(values)).bit_length() <= _BITS


def pack(values: Sequence[int]) -> bytes:
    """Return numbers as bytes: the smallest one as 8 bytes, then how far each is above it."""
    if not values:
        return b""
    least = min(values)
    above = array("Q", [value - least for value in values])
    if sys.byteorder == "big":
        above.byteswap()
    raw = above.tobytes()
    width = ((max(values) - least).bit_length() + 7) // 8
    planes = b"".join(raw[each::_BYTES] for each in range(width))
    return least.to_bytes(_BYTES, "little", signed=True) + planes


def unpack(data: bytes, count: int) -> Sequence[int]:
    """Return `count` numbers. Raises ValueError when the bytes are not theirs."""
    if not count and not data:
        return array("q")
    width, rest = divmod(len(data) - _BYTES, max(count, 1))
    if len(data) < _BYTES or rest or width > _BYTES:
        raise ValueError("these are not the bytes of that many numbers")
    raw = bytearray(count * _BYTES)
    for each in range(width):
        start = _BYTES + each * count
        raw[each::_BYTES] = data[start : start + count]
    above = array("q")
    above.frombytes(raw)
    if sys.byteorder == "big":
        above.byteswap()
    least = int.from_bytes(data[:_BYTES], "little", signed=True)
    return array("q", [least + value for value in above]) if least else above


_VALUE: Final = re.compile(
    r'([:\[,])("[^"\\]*(?:\\.[^"\\]*)*+"(?!:)|-?\d[\d.eE+-]*+)',
    re.DOTALL,
)
"""A JSON string that is no key, or a number, in text without blanks, and what it follows."""

_KEY: Final = re.compile(r'"([^"\\]*)":\[?$')
_ENCODING: Final = "latin-1"
"""Gives each byte a character and back: nothing can be lost."""

PLACE: Final = "\0"
"""Stands in a template for a value. JSON escapes it, so an event has none."""

_VALUE_ONLY: Final = PLACE


class SplitState(NamedTuple):
    """A template, as it is kept, and the values in the order of its places."""

    template: str
    values: list[str]


def text_of(data: bytes) -> str:
    """Return bytes as a text of as many characters."""
    return data.decode(_ENCODING)


def bytes_of(text: str) -> bytes:
    """Return the bytes that a text was made of."""
    return text.encode(_ENCODING)


def split(state: bytes) -> SplitState:
    """Return a state in parts. A state that contains the placeholder is one single value."""
    text = text_of(state)
    if PLACE in text:
        return SplitState(_VALUE_ONLY, [text])
    found = _VALUE.split(text)
    # Before a value, the character it follows, the value, and again; then what is left.
    around = [*map(str.__add__, found[0::3], found[1::3]), found[-1]]
    return SplitState(PLACE.join(around), found[2::3])


def as_format(template: str) -> str:
    """Return the text that becomes the state by `% values`."""
    return template.replace("%", "%%").replace(PLACE, "%s")


def column_names(template: str) -> tuple[str, ...]:
    """Return a name for each place: its key, and how many of that key came before.

    Values under the same name are alike, so that they compress well; nothing else depends on
    the name.
    """
    names: list[str] = []
    counted: dict[str, int] = {}
    key = ""
    for part in template.split(PLACE)[:-1]:
        found = _KEY.search(part)
        key = found[1] if found else key
        number = counted.get(key, 0)
        counted[key] = number + 1
        names.append(f"{key} {number}" if number else key)
    return tuple(names)


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


class ColumnWriter:
    """Turns columns into bytes. A column of numbers may be written as what differs from others."""

    def __init__(self) -> None:
        self.described: list[dict[str, Any]] = []
        self.sections: list[bytes] = []
        self._numbers: dict[str, list[int]] = {}
        self._forms: dict[str, str] = {}

    def add(self, columns: Mapping[str, Sequence[str | None]]) -> None:
        """Add columns of equally many rows; None is a row without that value."""
        for name, texts in columns.items():
            if not self._add_few(name, texts):
                self._add_numbers(name, texts)

    def add_integers(self, name: str, numbers: list[int]) -> None:
        """Add a column of numbers."""
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
    """A column of a segment, decompressed at the first use."""

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
