"""Arguments of commands, judged by the domain's own rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from domain.errors import InvalidValueError
from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")


def parsed(argument: str, parse: Callable[[object], T], value: object) -> T:
    """Return the normal form of an argument. Raises CommandError that names it."""
    try:
        return parse(value)
    except InvalidValueError as error:
        raise CommandError(ExitCode.USAGE, f"{argument} {error.message}") from None
