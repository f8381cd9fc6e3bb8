"""Exports a whole store as lines of JSON, while everything runs.

The ends of the logs and the keys are read while the key store is locked, so no exported
event refers to a key that the export lacks. The events are read page by page, so memory does
not grow with the logs.
"""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from domain.clock import iso_milliseconds, utc_now
from domain.errors import MasterKeyError
from store.keys import sealing
from store.keys.rotation import rewrapped
from store.ports.engine import LOGS
from store.transfer.export_format import End, Header, event_line, key_line, mac_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from store.proof.leaf import EventRows
    from store.store import Store


PAGE: Final = 2000
"""Events read at a time."""


class _ExportPoint(NamedTuple):
    """A store at one moment: the ends of its logs, and its keys."""

    master_key: bytes
    keys: list[tuple[str, bytes]]
    last_given: dict[str, int]


def export_lines(
    store: Store,
    new_master_key: bytes | None = None,
    report: Callable[[int, int], None] = lambda *_: None,
) -> Iterator[bytes]:
    """Yield the lines of an export. Keys stay wrapped: as they are, or by another master key.

    `report` gets how many positions are done, and how many there are. Raises TransferError
    when a log is damaged, MasterKeyError when a key does not open.
    """
    logs = {name: store.rows(name) for name in LOGS}
    point = _export_point(store, logs)
    master_key = new_master_key or point.master_key
    digest, events = sha256(), Counter(dict.fromkeys(LOGS, 0))
    for line in _lines(point, master_key, logs, events, report):
        digest.update(line)
        yield line
    total = digest.hexdigest()
    yield End(len(point.keys), dict(events), total, mac_of(master_key, total)).line()


def _export_point(store: Store, logs: dict[str, EventRows]) -> _ExportPoint:
    with store.keys.store.table() as table:
        fingerprint = table.master_fingerprint() or ""
        master_key = store.master_keys.find(fingerprint)
        if master_key is None:
            raise MasterKeyError(f"the keys of this store are wrapped by master key {fingerprint}")
        return _ExportPoint(
            master_key, table.all(), {name: logs[name].last_given() for name in LOGS}
        )


def _lines(
    point: _ExportPoint,
    master_key: bytes,
    logs: dict[str, EventRows],
    events: Counter[str],
    report: Callable[[int, int], None],
) -> Iterator[bytes]:
    fingerprint = sealing.fingerprint(master_key)
    yield Header(iso_milliseconds(utc_now()), fingerprint, point.last_given).line()
    keys = (
        point.keys
        if master_key == point.master_key
        else rewrapped(point.keys, point.master_key, master_key)
    )
    for owner, wrapped in keys:
        yield key_line(owner, wrapped)
    before, total = 0, sum(point.last_given.values())
    for log in LOGS:
        for position, line in _event_lines(log, logs[log], point.last_given[log]):
            events[log] += 1
            yield line
            if events[log] % PAGE == 0:
                report(before + position, total)
        before += point.last_given[log]
    report(total, total)


def _event_lines(log: str, rows: EventRows, through: int) -> Iterator[tuple[int, bytes]]:
    position = 0
    while page := rows.after(position, PAGE, through=through):
        for row in page:
            yield row.position, event_line(log, row)
        position = page[-1].position
