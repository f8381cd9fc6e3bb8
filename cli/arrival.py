"""A checker comes to its location: which one that is, and what its start makes of it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from checker.location import Location
from cli.exit_codes import ExitCode
from cli.failure import CommandError
from domain.errors import RetiredError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.settings import Settings
    from domain.location import Arrival
    from domain.store import Store

log = logging.getLogger("postwatch.checker")

DEFAULT_CODE: Final = "local"
"""Where a checker stands that nobody told."""

_DEFAULT_NAME: Final = "Local"
"""What that place is called. Another one that nobody named is called as its code says."""

_BY_NAME: Final = "--location or POSTWATCH_LOCATION"


def location_of(settings: Settings, *, is_supervised: bool) -> Location:
    """Return where a checker stands. Raises CommandError when it must be said and is not.

    On a database others would share its location, and nobody would know where they are.
    `postwatch up` is one machine, whatever keeps its store.
    """
    if settings.location is None and settings.database is not None and not is_supervised:
        raise CommandError(
            ExitCode.SETTINGS_WRONG,
            "settings are wrong: a checker with a database must be told where it stands; name "
            f"the location with {_BY_NAME}, such as de-nbg (see `postwatch location list`)",
        )
    code = settings.location or DEFAULT_CODE
    name = settings.location_name or (_DEFAULT_NAME if code == DEFAULT_CODE else code)
    return Location(code, name, settings.country)


def arrive(store: Store, location: Location, *, is_named: bool) -> int:
    """Register a location, say in the log what that changes, and return its number.

    Raises CommandError when it is retired and nobody named it.
    """
    try:
        arrival = store.monitoring.register_location(
            location.code, location.name, location.country, location.actor, may_restore=is_named
        )
    except RetiredError as error:
        raise CommandError(
            ExitCode.SETTINGS_WRONG,
            f"settings are wrong: {error}; to check there again name it with {_BY_NAME}, or name "
            "another one",
        ) from None
    _tell(arrival)
    return arrival.location.number


def _tell(arrival: Arrival) -> None:
    code = arrival.location.code
    if arrival.is_back:
        log.warning("location %s was retired; this start brings it back", code)
    if arrival.changes:
        log.warning("this start changes location %s: %s", code, "; ".join(_changes(arrival)))


def _changes(arrival: Arrival) -> Iterator[str]:
    for field, (was, now) in arrival.changes.items():
        yield f"{field} from {was or 'none'} to {now or 'none'}"
    if "country" in arrival.changes:
        yield "the country decides which monitors are checked there"
