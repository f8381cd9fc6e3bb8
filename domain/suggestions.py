"""Which known name a caller may have meant by an unknown one."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


_LIKENESS: Final = 0.7
"""The ratio of difflib from which on two names are alike: `serch` and `search` have 0.91."""

_MAX_LENGTH: Final = 64
"""Longer names are compared with nothing: the comparison takes quadratic time."""


def plain(name: str) -> str:
    """Return a name without what people write differently: case, hyphens, underscores."""
    return name.replace("_", "").replace("-", "").lower()


def likely_name(name: str, known: Iterable[str], *, likeness: float = _LIKENESS) -> str | None:
    """Return the known name that is most like an unknown one; None when none is alike."""
    if len(name) > _MAX_LENGTH:
        return None
    by_plain = {plain(each): each for each in known}
    found = get_close_matches(plain(name), by_plain, n=1, cutoff=likeness)
    return by_plain[found[0]] if found else None


def unknown_name(name: str, known: Iterable[str], what: str) -> str:
    """Return the sentence `is not a known field; did you mean port?` for an unknown name."""
    likely = likely_name(name, known)
    return f"is not a known {what}" + (f"; did you mean {likely}?" if likely else "")
