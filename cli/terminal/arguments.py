"""Arguments of commands, checked by the rules of the domain."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from domain.errors import InvalidValueError
from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable


T = TypeVar("T")


def parse_argument(name: str, parse: Callable[[object], T], value: object) -> T:
    """Return the normal form of an argument. Raises CommandError that names it."""
    try:
        return parse(value)
    except InvalidValueError as error:
        raise CommandError(ExitCode.USAGE, f"{name} {error.message}") from None


def parse_public_id(text: str) -> UUID:
    """Return the public id of a monitor as a UUID. Raises CommandError."""
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(
            ExitCode.USAGE, f"{text} is not a public id; it is the UUID that the API shows"
        ) from None
