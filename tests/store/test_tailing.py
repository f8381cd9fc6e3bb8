"""A reader that follows a log under many writers gets every event once, in order."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from eventsourcing.persistence import IntegrityError

if TYPE_CHECKING:
    from tests.places import Place


WRITERS = 8
ROUNDS = 20
CONTESTED = UUID(int=1)
"""A stream that all write to, so that many come second."""

Written = set[tuple[str, int]]


def write(place: Place, number: int, start: threading.Barrier) -> Written:
    """Append batches, of which some come second, and return what was stored."""
    stored: Written = set()
    own = UUID(int=100 + number)
    with place.open() as store:
        recorder = cast("Any", store.checks.recorder)
        start.wait(30)
        for version in range(1, ROUNDS + 1):
            batch = [(own, 2 * version - 1), (own, 2 * version)]
            if version % 2:
                newest = recorder.select_events(CONTESTED, desc=True, limit=1)
                next_one = newest[0].originator_version + 1 if newest else 1
                batch.append((CONTESTED, next_one))
            rows = [(each.hex, at, "CheckPerformed", b"{}") for each, at in batch]
            try:
                recorder.append(rows)
            except IntegrityError:
                # All or none: so it is only the own ones now.
                batch.pop()
                recorder.append(rows[:-1])
            stored.update((each.hex, at) for each, at in batch)
    return stored


def test_a_reader_behind_many_writers_misses_nothing(place: Place) -> None:
    start = threading.Barrier(WRITERS + 1)
    seen: list[tuple[int, tuple[str, int]]] = []
    with place.create() as store, ThreadPoolExecutor(WRITERS) as pool:
        rows = store.engine.rows("checks")
        writers = [pool.submit(write, place, number, start) for number in range(WRITERS)]
        start.wait(30)
        position, is_over = 0, False
        while True:
            page = rows.after(position, 7)
            seen += [(x.position, (x.originator_id.decode(), int(x.version))) for x in page]
            position = page[-1].position if page else position
            if is_over and not page:
                break
            # Only what was read after all had ended tells that nothing more comes.
            is_over = all(writer.done() for writer in writers)
        written = set().union(*(writer.result() for writer in writers))
        whole = [row.position for row in rows.after(0, 1 << 20)]
        last_given = rows.last_given()

    assert [each for each, _ in seen] == whole
    assert whole == sorted(set(whole))
    assert {event for _, event in seen} == written
    assert len(seen) == len(written)
    assert last_given >= whole[-1] >= len(whole)
