"""Forms that texts of values have, and the whole numbers they stand for.

A form is used only where each text comes back from its number as it was, to the letter.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_INTEGER: Final = re.compile(r"-?\d{1,18}")
_DECIMAL: Final = re.compile(r"(\d{1,12})\.(\d{1,3})")
_MOMENT: Final = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d)\.(\d{3}|\d{6})(Z|\+00:00)"')
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_KEPT: Final = 4096
"""Minutes whose text is kept."""


class Form(ABC):
    """How texts are numbers."""

    fills_with_zero = True
    """Whether a row without this value gets 0, instead of the number before it."""

    @abstractmethod
    def number(self, text: str) -> int | None:
        """Return the number of a text, None for a text of another form."""

    @abstractmethod
    def shown(self, numbers: Sequence[int]) -> Sequence[object]:
        """Return what `%s` writes as the texts; many at a time, because there are millions."""

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

    def number(self, text: str) -> int | None:
        """Return the number itself."""
        return int(text) if _INTEGER.fullmatch(text) else None

    def shown(self, numbers: Sequence[int]) -> Sequence[object]:
        """Return the numbers themselves."""
        return numbers


class Decimals(Form):
    """`12.345`, with one to three digits behind the point, in thousandths."""

    def number(self, text: str) -> int | None:
        """Return the thousandths."""
        found = _DECIMAL.fullmatch(text)
        return int(found[1]) * 1000 + int(found[2].ljust(3, "0")) if found else None

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
