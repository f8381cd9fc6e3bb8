"""Archives as the service does by itself, and kills itself at a step of that.

`python -m soak.killed_archiver STEP WHEN NUMBER` ends by SIGKILL `before` or `after` the
NUMBERth time that it does a step; one that never gets so far ends as the command does.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cli.main import main as postwatch
from domain.actor import ARCHIVER
from service.opening import hold_part, open_from_settings
from service.settings import Settings
from store.archive.check_archive import CheckArchive
from store.archiving import ARCHIVE_LOCK, Archiver
from store.files import segment_files
from store.files.segment_files import SegmentFiles
from store.sqlite import log
from store.sqlite.engine import SqliteEngine
from store.sqlite.tiles import SqliteTiles

if TYPE_CHECKING:
    from collections.abc import Callable


SEGMENT = 1500
"""Checks in a segment here: so it takes several transactions to delete them."""


class Step(NamedTuple):
    """Where a step is done: the attribute of an object."""

    owner: Any
    name: str


STEPS = {
    "write": Step(SegmentFiles, "write"),
    "fsync": Step(os, "fsync"),
    "rename": Step(Path, "rename"),
    "sync of the folder": Step(segment_files, "sync"),
    "read back": Step(CheckArchive, "read_back"),
    "record": Step(Archiver, "_record"),
    "forget leaves": Step(SqliteTiles, "forget_leaves"),
    "prune": Step(SqliteEngine, "prune"),
}
"""What archiving a segment consists of, in this order."""

REST = "between two deletions"
"""A further step: it is the pause between two transactions."""


REPEATED = ("fsync", "sync of the folder", REST)
"""Steps that are done more than once for a segment."""


class Death:
    """Ends this process at a step."""

    def __init__(self, when: str, number: int) -> None:
        self._when = when
        self._left = number

    def at(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return the step with the end in it."""

        def step(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - of any step
            self._left -= 1
            if self._left == 0 and self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            done = original(*arguments, **options)
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return step


def main() -> None:
    """Put the end into the step, and archive."""
    name, when, number = sys.argv[1:]
    death = Death(when, int(number))
    Archiver.__init__.__kwdefaults__["most_events"] = SEGMENT  # type: ignore[index] # it has some
    if name == REST:
        log.prune.__kwdefaults__["rest"] = death.at(time.sleep)  # type: ignore[index] # as above
    else:
        step = STEPS[name]
        setattr(step.owner, step.name, death.at(getattr(step.owner, step.name)))
    postwatch(["checks", "archive-next"], standalone_mode=False)
    settings = Settings.from_env()
    with open_from_settings(settings) as store, hold_part(store.engine.locks, ARCHIVE_LOCK):
        Archiver(store, ARCHIVER).prune()


if __name__ == "__main__":
    main()
