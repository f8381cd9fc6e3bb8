"""A write-ahead log that was cut off or damaged: the events before the damage, and no others."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from domain.commands import UpdateMonitor
from projections.catalog import Views
from store.log_reader import LogReader
from store.store import create_store, open_store
from tests.domain.given import TESTER, make_owners
from tests.projections.folding import catch_up, everything

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store.log_reader import LoggedEvent
    from store.store import Store


WAL_HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
"""https://www.sqlite.org/fileformat2.html, section 4."""

PAGE_BYTES: Final = 4096
_FRAME_BYTES: Final = FRAME_HEADER_BYTES + PAGE_BYTES


class Acknowledged(NamedTuple):
    """Where the log ended, and its write-ahead file, when a command was acknowledged."""

    events: int
    wal_bytes: int


@dataclass(frozen=True)
class Live:
    """Copies of the files of a store, views included, made while the store was open."""

    root: Path
    history: list[LoggedEvent]
    folded_back: int
    commits: list[Acknowledged]

    @property
    def wal(self) -> Path:
        """The write-ahead file of the `monitoring` log."""
        return _wal(self.root)

    def events_before(self, offset: int) -> int:
        """Return how many acknowledged events are whole in front of an offset of that file."""
        whole = [each.events for each in self.commits if each.wal_bytes <= offset]
        return max([self.folded_back, *whole])


def make_live(folder: Path, commands: int, *, reuse: bool = False) -> Live:
    """Copy a store's files while it is open; part of its log is folded back, part is not.

    With `reuse` the write-ahead file is not cut when it is folded back, so that frames of
    an earlier round lie behind those that count.
    """
    commits: list[Acknowledged] = []
    with create_store(folder / "open") as store, Views(store) as views:
        log, owners = LogReader(store.monitoring), make_owners(store)
        root = store.folder.root

        def acknowledged() -> None:
            commits.append(Acknowledged(log.head(), _wal(root).stat().st_size))

        for number in range(commands):
            if number == 2 * commands // 3:
                folded_back = _fold_back(store, "RESTART" if reuse else "TRUNCATE")
                commits.clear()
            made = store.monitoring.create_monitor(owners.create(name=f"{number}"), TESTER)
            acknowledged()
            command = UpdateMonitor(made.id, {"name": "changed " + "x" * 100 * (number % 50)})
            store.monitoring.update_monitor(command, TESTER)
            acknowledged()
        catch_up(views)
        shutil.copytree(root, folder / "live", ignore=shutil.ignore_patterns("*-shm", "locks"))
        history = list(log.after(0, 1_000_000))
    return Live(folder / "live", history, folded_back, [] if reuse else commits)


def cuts(live: Live, every: int = 1) -> Iterator[int]:
    """Yield offsets at the border of each frame, and in the middle of its parts."""
    end = live.wal.stat().st_size
    yield from (0, WAL_HEADER_BYTES - 1)
    for border in range(WAL_HEADER_BYTES, end + 1, _FRAME_BYTES * every):
        yield from (border, border + FRAME_HEADER_BYTES // 2, border + FRAME_HEADER_BYTES)
        yield border + FRAME_HEADER_BYTES + PAGE_BYTES // 2


def open_cut(live: Live, at: int, to: Path, *, damage: bool = False) -> int:
    """Open a copy whose write-ahead file ends at an offset, or has another byte there.

    Returns how many events it holds: the first ones of the history, unchanged.
    """
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(live.root, to)
    (to / "locks").mkdir()
    content = bytearray(live.wal.read_bytes())
    if damage:
        content[min(at, len(content) - 1)] ^= 0x41
    else:
        del content[at:]
    _wal(to).write_bytes(content)
    with open_store(to) as store:
        found = list(LogReader(store.monitoring).after(0, 1_000_000))
        assert found == live.history[: len(found)]
        _views_begin_again_where_they_must(store, len(found) < len(live.history))
    return len(found)


def _views_begin_again_where_they_must(store: Store, log_is_shorter: bool) -> None:  # noqa: FBT001 - a fact
    """The views show what the log holds, and go on with it under numbers without a gap."""
    with Views(store) as views:
        projector = views.projector("monitors")
        assert (projector.view.generation() > 1) == log_is_shorter, "another history is noticed"
        assert projector.view.position() == projector.log.head()
        owners = make_owners(store, "After")
        store.monitoring.create_monitor(owners.create(name="after"), TESTER)
        catch_up(views)
        shown = everything(views)
        projector.rebuild(lambda *_: None)
        assert everything(views) == shown
        numbers = sorted(record["number"] for _, record in shown["monitors"][1]["monitors"])
        assert numbers == list(range(1, len(numbers) + 1))


def _fold_back(store: Store, how: str) -> int:
    """Fold the write-ahead file back into the log; return how many events are there then."""
    with closing(sqlite3.connect(store.folder.monitoring_log)) as connection:
        busy, _, _ = connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
    assert busy == 0
    return LogReader(store.monitoring).head()


def _wal(root: Path) -> Path:
    return root / "logs" / "monitoring.db-wal"
