"""Ages, as people write them: in settings and in options of commands."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_AGE: Final = re.compile(r"(\d{1,5})([hdw])")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def parse_age(text: str) -> timedelta:
    """Return the age that a text such as `12h`, `30d` or `8w` says. Raises ValueError."""
    found = _AGE.fullmatch(text)
    if not found or not int(found[1]):
        raise ValueError("must be a number and a unit: hours (12h), days (30d) or weeks (8w)")
    return int(found[1]) * _UNITS[found[2]]


def parse_age_or_never(text: str) -> timedelta | None:
    """Return the age, None for `never`. Raises ValueError."""
    if text == "never":
        return None
    try:
        return parse_age(text)
    except ValueError as error:
        raise ValueError(f"{error}, or never") from None
