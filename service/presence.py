"""Which checkers run at a location now, as locks and database sessions show."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from service.errors import CommandError, ExitCode
from store.ports.locks import LockHeldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from projections.core.table import Record
    from store.ports.engine import Engine
    from store.ports.leases import FleetRow


def checker_lock(code: str) -> str:
    """Return the name of the lock of the one checker at a location of a data folder."""
    return f"checker-{code}"


def checkers_at(engine: Engine, locations: Sequence[Record]) -> dict[str, list[str]]:
    """Return the names of the checkers at each location now, by its code."""
    if engine.has_fleet:
        rows = engine.fleet()
        return {
            each["code"]: [_name(row) for row in rows if row.location_number == each["number"]]
            for each in locations
        }
    found = {each["code"]: engine.locks.holder(checker_lock(each["code"])) for each in locations}
    return {code: [_process(holder.pid)] if holder else [] for code, holder in found.items()}


@contextmanager
def without_checkers(engine: Engine, location: Record) -> Iterator[None]:
    """Make sure that no checker runs at a location, then run the block.

    With a data folder no checker can start until the block ends. With a database a checker
    may start, and reads what the block has recorded. Raises CommandError that names the
    running checkers.
    """
    with ExitStack() as stack:
        if engine.has_fleet:
            _require_no_session(engine, location)
        else:
            try:
                stack.enter_context(engine.locks.hold(checker_lock(location["code"])))
            except LockHeldError as error:
                raise _still_in_use(
                    location,
                    f"its checker is running, the lock is {error}; stop that process first",
                ) from None
        yield


def _require_no_session(engine: Engine, location: Record) -> None:
    rows = [each for each in engine.fleet() if each.location_number == location["number"]]
    if rows:
        who = ", ".join(f"{_name(each)} (session {each.session.number})" for each in rows)
        raise _still_in_use(
            location,
            f"checkers run there: {who}; stop them first, or where a host is gone end its "
            f"session: SELECT pg_terminate_backend({rows[0].session.number})",
        )


def _still_in_use(location: Record, why: str) -> CommandError:
    return CommandError(
        ExitCode.ALREADY_RUNNING, f"location {location['code']} is not retired: {why}"
    )


def _name(row: FleetRow) -> str:
    beat = row.session.beat
    return beat.holder if beat else row.application or f"session {row.session.number}"


def _process(pid: int | None) -> str:
    return "a process that is just starting" if pid is None else f"process {pid}"
