"""Snapshots: folded aggregates, so that a stream of thousands of events need not be folded again.

A snapshot is a cache and never the truth. It names the event that it includes last, by version
and digest, and counts only when the log holds this very event: after a restored backup or a
failover it is ignored. Without snapshots everything works, only slower.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

import orjson
from eventsourcing.application import AggregateNotFoundError, Repository
from eventsourcing.utils import get_topic, resolve_topic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from eventsourcing.domain import Aggregate
    from eventsourcing.persistence import EventStore, Recording, StoredEvent


EVERY: Final = 8
"""Events after which a stream gets its next snapshot, and the most that a read folds then."""

_PENDING: Final = "_pending_events"


class Snapshots(Protocol):
    """Keeps the newest snapshot of each stream. It may lose any of them, and fails silently."""

    def read(self, stream: UUID) -> bytes | None:
        """Return the snapshot of a stream; None when this code has written none."""

    def write(self, stream: UUID, snapshot: bytes) -> None:
        """Keep a snapshot instead of the one before."""


class NoSnapshots(Snapshots):
    """Keeps nothing."""

    def read(self, stream: UUID) -> bytes | None:
        """Return None."""
        del stream
        return None

    def write(self, stream: UUID, snapshot: bytes) -> None:
        """Do nothing."""
        del stream, snapshot


class _Snapshot(NamedTuple):
    aggregate: Aggregate
    last_event: str


def encode(aggregate: Aggregate, last_event: str) -> bytes | None:
    """Return the snapshot of an aggregate; None when it would not come back as it is.

    `last_event` is the digest of the event of the aggregate's version.
    """
    values: dict[str, Any] = {}
    times: dict[str, str] = {}
    times_by_key: dict[str, dict[str, str]] = {}
    for name, value in vars(aggregate).items():
        if name in (_PENDING, "_id"):
            continue
        if isinstance(value, datetime):
            times[name] = value.isoformat()
        elif isinstance(value, dict) and any(isinstance(each, datetime) for each in value.values()):
            times_by_key[name] = {key: each.isoformat() for key, each in value.items()}
        else:
            values[name] = value
    snapshot = {
        "topic": get_topic(type(aggregate)),
        "last_event": last_event,
        "values": values,
        "times": times,
        "times_by_key": times_by_key,
    }
    try:
        written = orjson.dumps(snapshot, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError:
        return None
    return written if _decode(aggregate.id, written).aggregate == aggregate else None


def _decode(stream: UUID, snapshot: bytes) -> _Snapshot:
    """Return what a snapshot holds. Raises LookupError or ValueError when it is damaged."""
    found = orjson.loads(snapshot)
    state = {
        **found["values"],
        **{name: datetime.fromisoformat(text) for name, text in found["times"].items()},
        **{
            name: {key: datetime.fromisoformat(text) for key, text in texts.items()}
            for name, texts in found["times_by_key"].items()
        },
        "_id": stream,
        _PENDING: [],
    }
    aggregate: Aggregate = object.__new__(resolve_topic(found["topic"]))
    aggregate.__dict__.update(state)
    return _Snapshot(aggregate, found["last_event"])


def digest_of(topic: str, state: bytes) -> str:
    """Return the identity of a stored event, for snapshots."""
    return sha256(topic.encode() + b"\n" + state).hexdigest()


class SnapshotRepository(Repository["UUID"]):
    """Folds aggregates, long ones from a snapshot, and keeps the newest ones in memory."""

    def __init__(
        self, event_store: EventStore[UUID], snapshots: Snapshots, *, cache_maxsize: int
    ) -> None:
        super().__init__(event_store, cache_maxsize=cache_maxsize)
        self._snapshots = snapshots

    def take(self, aggregate: Aggregate, recordings: Sequence[Recording[UUID]]) -> None:
        """Write the snapshot of a saved aggregate, if enough was recorded since the last one."""
        if aggregate.version < EVERY:
            return
        noted = (each.notification for each in recordings)
        new = [each for each in noted if each.originator_id == aggregate.id]
        if new and aggregate.version // EVERY > (aggregate.version - len(new)) // EVERY:
            self._write(aggregate, new[-1].topic, new[-1].state)

    def _write(self, aggregate: Aggregate, topic: str, state: bytes) -> None:
        snapshot = encode(aggregate, digest_of(topic, bytes(state)))
        if snapshot is not None:
            self._snapshots.write(aggregate.id, snapshot)

    def _reconstruct_aggregate(
        self,
        aggregate_id: UUID,
        version: int | None,
        projector_func: Any,  # noqa: ANN401 - the signature is the library's
    ) -> Any:  # noqa: ANN401 - the signature is the library's
        if version is not None:
            return super()._reconstruct_aggregate(aggregate_id, version, projector_func)
        recorder = self.event_store.recorder
        # Most streams are short, and this one query reads all of them.
        newest = list(recorder.select_events(aggregate_id, desc=True, limit=EVERY + 1))[::-1]
        if not newest:
            raise AggregateNotFoundError(f"there is no aggregate {aggregate_id}")
        if newest[0].originator_version == 1:
            return self._fold(None, newest)
        return self._fold_long(aggregate_id, newest)

    def _fold_long(self, stream: UUID, newest: Sequence[StoredEvent]) -> Aggregate:
        recorder, last = self.event_store.recorder, newest[-1]
        snapshot = self._read(stream)
        if snapshot is not None:
            taken = snapshot.aggregate.version
            is_near = taken >= newest[0].originator_version
            events = (
                [each for each in newest if each.originator_version >= taken]
                if is_near
                else list(recorder.select_events(stream, gt=taken - 1))
            )
            if events and digest_of(events[0].topic, bytes(events[0].state)) == snapshot.last_event:
                folded = self._fold(snapshot.aggregate, events[1:])
                if not is_near:
                    self._write(folded, last.topic, last.state)
                return folded
        events = list(recorder.select_events(stream))
        folded = self._fold(None, events)
        self._write(folded, events[-1].topic, events[-1].state)
        return folded

    def _fold(self, aggregate: Aggregate | None, events: Iterable[StoredEvent]) -> Aggregate:
        for each in events:
            event = cast("Aggregate.Event", self.event_store.mapper.to_domain_event(each))
            aggregate = event.mutate(aggregate)
        return cast("Aggregate", aggregate)

    def _read(self, stream: UUID) -> _Snapshot | None:
        """Return the snapshot of a stream; None without one that can be read."""
        written = self._snapshots.read(stream)
        if written is None:
            return None
        try:
            return _decode(stream, written)
        except (LookupError, ValueError, TypeError, AttributeError):
            return None
