"""Archiving is killed at each of its steps, beside a running service; no check is lost."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from domain.clock import utc_now
from projections.catalog import Views
from soak.killed_archiver import REPEATED, REST, SEGMENT, STEPS
from store.archiving import LONGEST_WAIT
from store.proof.leaf import leaf_bytes
from store.proving import log_proof, verify
from store.store import open_store
from tests.domain.realistic import Fleet, record
from tests.system.service import CLEAN, ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from domain.event_mapper import Row
    from store.store import Store
    from tests.system.service import Service


_MONITORS = 40
_DAYS = 90
"""So long ago the checks begin: all of them are old enough."""

_NEVER = 1 << 30
"""More often than any step is done."""

MOMENTS = tuple((step, when) for step in (*STEPS, REST) for when in ("before", "after"))


@dataclass
class ArchiveKills:
    """What was killed, and what was seen afterwards."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    survived: int = 0
    """Archivers that ended before they got to the step."""
    checks: int = 0
    archived: int = 0


def play_archive_kills(
    service: Service, random: Random, is_done: Callable[[ArchiveKills], bool]
) -> ArchiveKills:
    """Kill archiving at every moment in turn, until it is done; compare all checks each time.

    The service must archive nothing by itself.
    """
    played = ArchiveKills()
    fleet = Fleet(_MONITORS, start=utc_now() - timedelta(days=_DAYS))
    with open_store(service.data) as store, Views(store) as views:
        known = _Known(store)
        while not is_done(played):
            record(store, fleet.checks(SEGMENT * len(MOMENTS)))
            wait_until(lambda: _are_seen(store, views), seconds=120, what="all checks seen")
            known.note()
            for moment in MOMENTS:
                number = random.choice((1, 2)) if moment[0] in REPEATED else 1
                _kill(service, moment, number, played)
                known.compare()
        _archive_the_rest(service, store)
        known.compare_all()
        played.checks, played.archived = known.checks, store.archive.through()
        assert verify(log_proof(store, "checks")).ok
    return played


class _Known:
    """The checks that were in the log: the newest of them, and a digest of all."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._digest = sha256()
        self._position = 0
        self._newest: list[Row] = []
        self.checks = 0

    def note(self) -> None:
        """Note what is new."""
        self._newest = list(self._store.rows("checks").after(self._position, 1 << 20))
        for row in self._newest:
            self._digest.update(leaf_bytes(row))
        self.checks += len(self._newest)
        self._position = self._newest[-1].position

    def compare(self) -> None:
        """Verify that the newest checks are all there, and as they were."""
        before, count = self._newest[0].position - 1, len(self._newest) + 1
        found = self._store.rows("checks").after(before, count, through=self._position)
        assert list(found) == self._newest

    def compare_all(self) -> None:
        """Verify the same of all checks that were ever noted."""
        digest, position = sha256(), 0
        while rows := self._store.rows("checks").after(position, 2000, through=self._position):
            for row in rows:
                digest.update(leaf_bytes(row))
            position = rows[-1].position
        assert digest.digest() == self._digest.digest()


def _are_seen(store: Store, views: Views) -> bool:
    """Return whether nothing but its age keeps a check in the log."""
    head = store.reader("checks").head()
    return (store.incidents.tracked("checks") or 0) >= head and not any(
        each.lag() for each in views.projectors.values()
    )


def _archive_the_rest(service: Service, store: Store) -> None:
    before = -1
    while store.archive.through() > before:
        before = store.archive.through()
        assert _archive(service, (REST, "before"), _NEVER) == 0


def _kill(service: Service, moment: tuple[str, str], number: int, played: ArchiveKills) -> None:
    status = _archive(service, moment, number)
    assert status in {0, -signal.SIGKILL}, status
    if status:
        played.kills[moment] += 1
    else:
        played.survived += 1


def _archive(service: Service, moment: tuple[str, str], number: int) -> int:
    """Archive, and be killed on the way; return how the process ended."""
    archive_after = timedelta(days=2) + LONGEST_WAIT
    return subprocess.run(
        [sys.executable, "-m", "soak.killed_archiver", *moment, str(number)],
        cwd=ROOT,
        env={
            **CLEAN,
            **service.env,
            "POSTWATCH_ARCHIVE_AFTER": f"{archive_after // timedelta(hours=1)}h",
        },
        stdout=subprocess.DEVNULL,
        timeout=120,
        check=False,
    ).returncode
