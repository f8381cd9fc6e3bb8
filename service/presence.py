"""Who checks at a location now, as far as locks and sessions tell.

A checker comes to its location: which one that is, and what its start makes of it.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from checker.runtime.location import Location
from domain.errors import RetiredError
from service.errors import CommandError, ExitCode
from store.ports.locks import LockHeldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.location import Arrival
    from projections.core.table import Record
    from service.settings import Settings
    from store.ports.engine import Engine
    from store.ports.leases import FleetRow
    from store.store import Store


def checker_lock(code: str) -> str:
    """Return the name of the lock that lets one checker into a location of a data folder."""
    return f"checker-{code}"


def checkers_at(engine: Engine, locations: Sequence[Record]) -> dict[str, list[str]]:
    """Return who checks at each location now, in words, by its code."""
    if engine.has_fleet:
        rows = engine.fleet()
        return {
            each["code"]: [_name(row) for row in rows if row.location_number == each["number"]]
            for each in locations
        }
    found = {each["code"]: engine.locks.holder(checker_lock(each["code"])) for each in locations}
    return {code: [_process(holder.pid)] if holder else [] for code, holder in found.items()}


@contextmanager
def vacant(engine: Engine, location: Record) -> Iterator[None]:
    """Make sure that no checker is at work at a location before the block runs.

    In a data folder none can start either until the block ends. In a database one may, and
    finds what the block has recorded. Raises CommandError that says who is at work.
    """
    with ExitStack() as stack:
        if engine.has_fleet:
            _require_no_session(engine, location)
        else:
            try:
                stack.enter_context(engine.locks.hold(checker_lock(location["code"])))
            except LockHeldError as error:
                raise _in_use(
                    location, f"the lock of its checker is {error}; stop that process first"
                ) from None
        yield


def _require_no_session(engine: Engine, location: Record) -> None:
    rows = [each for each in engine.fleet() if each.location_number == location["number"]]
    if rows:
        who = ", ".join(f"{_name(each)} (session {each.session.number})" for each in rows)
        raise _in_use(
            location,
            f"checkers are at work there: {who}; stop them first, or where a host is gone end its "
            f"session: SELECT pg_terminate_backend({rows[0].session.number})",
        )


def _in_use(location: Record, why: str) -> CommandError:
    return CommandError(
        ExitCode.ALREADY_RUNNING, f"location {location['code']} is not retired: {why}"
    )


def _name(row: FleetRow) -> str:
    beat = row.session.beat
    return beat.holder if beat else row.application or f"session {row.session.number}"


def _process(pid: int | None) -> str:
    return "a process that is just starting" if pid is None else f"process {pid}"


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
