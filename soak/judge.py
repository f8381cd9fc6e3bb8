"""Verifies that a store holds everything that was acknowledged, and nothing impossible."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from checker.schedule.grid import unit_fraction
from domain.clock import iso_milliseconds
from projections.catalog import PROJECTIONS, Views
from store.ports.engine import LOGS
from store.proving import log_proof, verify
from store.store import open_store
from tests.projections.folding import catch_up, everything

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from domain.check import CheckPerformed
    from soak.ledger import Ledger
    from store.log_reader import LoggedEvent
    from store.store import Store


EVERYTHING = 10_000_000
CLOCK_SECONDS = 0.02
"""How far the due times may lie apart that two processes count for the same step."""


@dataclass(frozen=True)
class Judged:
    """What was verified. `in_doubt`: monitors in the store whose creation was not acknowledged."""

    events: int
    checks: int
    in_doubt: int


def judge(root: Path, ledger: Ledger, key: bytes | None = None) -> Judged:
    """Compare a store in files with what clients were told. Raises AssertionError."""
    with open_store(root, key) as store:
        judged = judge_store(store, ledger)
        for log in LOGS:
            assert store.reader(log).last_given() == len(_everything(store, log))
    return judged


def judge_store(store: Store, ledger: Ledger) -> Judged:
    """Compare a store with what clients were told. Raises AssertionError."""
    events, checks, incidents = (_everything(store, log) for log in LOGS)
    for log in (events, checks, incidents):
        _positions_rise_and_versions_have_no_gap(log)
    _nothing_was_made_twice(events)
    _every_number_was_given_once(events)
    _nothing_acknowledged_is_missing(events, ledger)
    _no_check_was_made_twice(each.event for each in checks)
    _passwords_can_be_opened(store, ledger)
    _views_equal_a_rebuild(store)
    _proofs_hold(store)
    return Judged(len(events), len(checks), _in_doubt(events, ledger))


def _everything(store: Store, log: str) -> Sequence[LoggedEvent]:
    return store.reader(log).after(0, EVERYTHING)


def _positions_rise_and_versions_have_no_gap(log: Sequence[LoggedEvent]) -> None:
    positions = [each.position for each in log]
    assert positions == sorted(set(positions))
    versions: Counter[UUID] = Counter()
    for _, event in log:
        versions[event.originator_id] += 1
        assert event.originator_version == versions[event.originator_id]


def _nothing_was_made_twice(events: Sequence[LoggedEvent]) -> None:
    """The clients give each monitor a name of its own, and never ask again."""
    names = [event.name for _, event in events if _is_of_a_client(event)]
    assert len(names) == len(set(names))


def _in_doubt(events: Sequence[LoggedEvent], ledger: Ledger) -> int:
    made = [str(event.originator_id) for _, event in events if _is_of_a_client(event)]
    return sum(each not in ledger.monitors for each in made)


def _is_of_a_client(event: Any) -> bool:  # noqa: ANN401 - an event of any sort
    return bool(type(event).TOPIC == "MonitorCreated" and event.name.startswith("Monitor "))


def _every_number_was_given_once(events: Sequence[LoggedEvent]) -> None:
    """Every number belongs to one thing, which bears it; every thing has one."""
    registered = {
        UUID(each.event.registered_id): each.event.originator_version
        for each in events
        if type(each.event).TOPIC == "Registered"
    }
    borne = {
        each.event.originator_id: each.event.number
        for each in events
        if hasattr(each.event, "number")
    }
    assert registered == borne


def _nothing_acknowledged_is_missing(events: Sequence[LoggedEvent], ledger: Ledger) -> None:
    streams: dict[str, list[Any]] = defaultdict(list)
    for _, event in events:
        streams[str(event.originator_id)].append(event)
    for acknowledged in (ledger.monitors, ledger.customers, ledger.tokens):
        for public_id, number in acknowledged.items():
            assert public_id in streams, f"{public_id} was acknowledged and is lost"
            assert streams[public_id][0].number == number
    for public_id, names in ledger.names.items():
        created, *later = streams[public_id]
        changes = [event.changes for event in later if hasattr(event, "changes")]
        recorded = [created.name, *(each["name"] for each in changes if "name" in each)]
        assert [name for name in recorded if name in names] == names
    for public_id in ledger.deleted:
        assert type(streams[public_id][-1]).TOPIC == "MonitorDeleted"


def _no_check_was_made_twice(checks: Iterable[CheckPerformed]) -> None:
    """No monitor has two checks for one due time, or two at the same time."""
    by_stream: dict[UUID, list[CheckPerformed]] = defaultdict(list)
    for check in checks:
        by_stream[check.originator_id].append(check)
    for of_one in by_stream.values():
        # The first check of a changed monitor is due at once, beside the grid.
        regular = [b for a, b in pairwise(of_one) if a.monitor_version == b.monitor_version]
        doubled = [due for due, number in Counter(map(_due, regular)).items() if number > 1]
        assert not doubled, f"monitor {of_one[0].monitor_id} was checked twice for {doubled}"
        for earlier, later in pairwise(of_one):
            assert iso_milliseconds(earlier.timestamp) <= later.started_at


def _due(check: CheckPerformed) -> int | str:
    """Return the step of the monitor's grid (6 s) at which a check was due, or its own time."""
    moment = datetime.fromisoformat(check.due_at).timestamp()
    steps = moment / 6.0 - unit_fraction(UUID(check.monitor_id))
    return round(steps) if abs(steps - round(steps)) * 6.0 < CLOCK_SECONDS else check.due_at


def _passwords_can_be_opened(store: Store, ledger: Ledger) -> None:
    for public_id, password in ledger.passwords.items():
        monitor: Any = store.monitoring.repository.get(UUID(public_id))
        if not monitor.deleted:
            config = store.monitoring.unsealed(monitor.id, "smtp", monitor.config)
            sent = ledger.sent_passwords[public_id]
            assert config["auth"]["pass"] in sent[sent.index(password) :]


def _views_equal_a_rebuild(store: Store) -> None:
    with Views(store) as views:
        catch_up(views)
        before = everything(views)
        for projection in PROJECTIONS:
            views.projector(projection.name).rebuild(lambda *_: None)
        assert everything(views) == before


def _proofs_hold(store: Store) -> None:
    for name in LOGS:
        proof = log_proof(store, name)
        proof.grow()
        report = verify(proof)
        assert report.ok, report.findings
