"""Who checks at a location now, as far as locks and sessions tell."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from cli.exit_codes import ExitCode
from cli.failure import CommandError
from domain.storage.locks import HeldError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.storage.engine import Engine
    from domain.storage.leases import FleetRow
    from projections.view import Record


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
            except HeldError as error:
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
