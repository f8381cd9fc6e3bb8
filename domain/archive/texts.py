"""The state of an event as a template and values, so that equal things stand side by side.

Works on the text, not on what it means: a template and its values always give back the
very bytes that they were made of, whatever these are.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

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


class Parts(NamedTuple):
    """A template, as it is kept, and the values in the order of its places."""

    template: str
    values: list[str]


def text_of(data: bytes) -> str:
    """Return bytes as a text of as many characters."""
    return data.decode(_ENCODING)


def bytes_of(text: str) -> bytes:
    """Return the bytes that a text was made of."""
    return text.encode(_ENCODING)


def split(state: bytes) -> Parts:
    """Return a state in parts. What could not be told from a template is all one value."""
    text = text_of(state)
    if PLACE in text:
        return Parts(_VALUE_ONLY, [text])
    found = _VALUE.split(text)
    # Before a value, the character it follows, the value, and again; then what is left.
    around = [*map(str.__add__, found[0::3], found[1::3]), found[-1]]
    return Parts(PLACE.join(around), found[2::3])


def as_format(template: str) -> str:
    """Return the text that becomes the state by `% values`."""
    return template.replace("%", "%%").replace(PLACE, "%s")


def column_names(template: str) -> tuple[str, ...]:
    """Return a name for each place: its key, and how many of that key came before.

    Equal names hold alike values, which makes them small; nothing else hangs on it.
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
