"""The logs in ratios: `python -m benchmarks.log [part ...] [--quick]`.

Parts are append, rebuild, patch, history and start; without names all run, which takes about
ten minutes. Each comparison takes its two sides in turn, in one run on one machine, and
gives the median of the rounds' ratios. Folders and processes are gone afterwards.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from benchmarks import log_append, log_rebuild, log_start
from benchmarks.api import Comparison, Side, get, patches
from benchmarks.history import change
from benchmarks.load import generator
from benchmarks.population import Population, populate
from benchmarks.servers import started
from projections.catalog import Views
from projections.views.monitors import MONITORS
from store.store import open_store
from tests.domain.realistic import Fleet, record

if TYPE_CHECKING:
    from collections.abc import Callable


PARTS: Final = ("append", "rebuild", "patch", "history", "start")

_MOST_TIMES_OF_PATCH: Final = 1.2
_MOST_TIMES_OF_HISTORY: Final = 1.5
_WATCHED: Final = 1000
"""Monitors that share the checks."""

_CHUNK: Final = 10_000
_PAGE: Final = "/history?limit=50"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done."""

    rounds: int
    appended: int
    checks: int
    requests: int
    few: int
    many: int
    monitors: int


FULL: Final = Scale(
    rounds=5,
    appended=50_000,
    checks=1_000_000,
    requests=300,
    few=1000,
    many=100_000,
    monitors=100_000,
)
QUICK: Final = Scale(
    rounds=3,
    appended=10_000,
    checks=50_000,
    requests=100,
    few=1000,
    many=10_000,
    monitors=10_000,
)


class Benchmark:
    """The parts; each returns whether its goal is met."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        self._folder = folder
        self._scale = scale

    @cached_property
    def _without(self) -> Population:
        """A store whose monitors were checked once."""
        return populate(self._folder / "without", _WATCHED)

    @cached_property
    def _with(self) -> Path:
        """The same with very many checks, which its views may not show yet."""
        folder = self._folder / "with"
        shutil.copytree(self._without.folder, folder)
        print(f"recording {self._scale.checks} checks ...", flush=True)
        with open_store(folder) as store, Views(store) as views:
            view = views.projector("monitors").view
            fleet = Fleet([UUID(key) for key, _ in view.rows(MONITORS)])
            for _ in range(self._scale.checks // _CHUNK):
                record(store, fleet.checks(_CHUNK))
        return folder

    def append(self) -> bool:
        """Append batches as the checker does when it has much to record."""
        met = True
        for batch in (200, 500):
            folder = self._folder / f"append-{batch}"
            folder.mkdir()
            ratio = log_append.measure(folder, self._scale.appended, batch, self._scale.rounds)
            met = ratio.show() and met
            shutil.rmtree(folder)
        return met

    def rebuild(self) -> bool:
        """Rebuild the views of checks."""
        return log_rebuild.measure(self._with, max(self._scale.rounds // 2, 1))

    def patch(self) -> bool:
        """Change a monitor beside very many checks."""
        requests = patches(self._without.first)
        with open_store(self._with) as store, Views(store) as views:
            for projector in views.projectors.values():
                projector.catch_up()
        return self._compare(
            f"PATCH with {self._scale.checks} checks in the store / without",
            (self._with, requests),
            (self._without.folder, requests),
            _MOST_TIMES_OF_PATCH,
        )

    def history(self) -> bool:
        """Show a page of a long history and of a short one."""
        return self._compare(
            f"page of history at {self._scale.many} audit events / {self._scale.few}",
            self._with_history(self._scale.many),
            self._with_history(self._scale.few),
            _MOST_TIMES_OF_HISTORY,
        )

    def _with_history(self, events: int) -> tuple[Path, list[bytes]]:
        """Return a store with a monitor that was changed so often, and a request for it."""
        made = populate(self._folder / f"history-{events}", 1)
        change(made.folder, made.first, events)
        with open_store(made.folder) as store, Views(store) as views:
            for projector in views.projectors.values():
                projector.catch_up()
        return made.folder, get(f"/api/smtp-monitors/{made.first}{_PAGE}")

    def start(self) -> bool:
        """Start a checker."""
        log_start.measure(self._folder / "start", self._scale.monitors)
        return True

    def _compare(
        self,
        name: str,
        mine: tuple[Path, list[bytes]],
        other: tuple[Path, list[bytes]],
        most_times: float,
    ) -> bool:
        with ExitStack() as stack:
            client = stack.enter_context(generator())
            one, another = [
                Side(
                    stack.enter_context(started("api", folder)),
                    requests,
                    self._scale.requests,
                    connections=1,
                )
                for folder, requests in (mine, other)
            ]
            return Comparison(name, one, another, most_times).run(client, self._scale.rounds)


def main() -> int:
    """Run the parts that are named, or all; the exit status says whether all goals are met."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="small and imprecise")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="postwatch-benchmark-") as folder:
        benchmark = Benchmark(Path(folder), QUICK if arguments.quick else FULL)
        parts: list[Callable[[], bool]] = [
            getattr(benchmark, part) for part in arguments.parts or PARTS
        ]
        met = [part() for part in parts]
        return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
