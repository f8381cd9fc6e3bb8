"""A whole checker on a real store, with a probe that the test controls."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from checker.run import run_checker
from checker.runtime.limits import Limits
from checker.runtime.metrics import CheckerMetrics
from store.log_reader import LogReader
from tests.checker.monitors import HERE, UP

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from checker.loop.check import Probe
    from domain.check import CheckPerformed, Outcome
    from mail.guard import ProbeGuard
    from mail.protocols.target import ProbeTarget
    from store.store import Store


DEADLINE_SECONDS = 30


class FakeProbe:
    """Answers at once, or when the test opens the gate; remembers what it was asked."""

    def __init__(self) -> None:
        self.targets: list[ProbeTarget] = []
        self.gate = trio.Event()
        self.gate.set()

    async def __call__(self, target: ProbeTarget, _guard: ProbeGuard, *_: object) -> Outcome:
        """Probe."""
        self.targets.append(target)
        await self.gate.wait()
        return UP


class Running:
    """A checker that runs, seen from outside."""

    def __init__(self, store: Store, stop: trio.Event) -> None:
        self._reader = LogReader(store.checks)
        self.stop = stop
        self.metrics = CheckerMetrics()
        self.ready = trio.Event()

    def recorded(self) -> list[CheckPerformed]:
        """Return all checks in the log."""
        return [each.event for each in self._reader.after(0, 100_000)]

    async def wait_for_checks(
        self, number: int, matching: Callable[[CheckPerformed], bool] = lambda _: True
    ) -> list[CheckPerformed]:
        """Wait until so many checks of a kind are in the log."""
        found: list[CheckPerformed] = []

        def enough() -> bool:
            found[:] = filter(matching, self.recorded())
            return len(found) >= number

        await until(enough)
        return found


async def until(condition: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition, with a deadline."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - the condition is in a database
            await trio.sleep(0.005)


@asynccontextmanager
async def running_checker(
    store: Store,
    probe: Probe,
    **options: Any,  # noqa: ANN401 - passed through
) -> AsyncIterator[Running]:
    """Run a checker for the time of the block; leave it by draining."""
    running = Running(store, trio.Event())
    options.setdefault("location", HERE)
    options.setdefault("limits", Limits(grace_seconds=5))

    async def run() -> None:
        await run_checker(
            store,
            probe,
            metrics=running.metrics,
            stop=running.stop,
            on_ready=running.ready.set,
            **options,
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(DEADLINE_SECONDS):
            await running.ready.wait()
        yield running
        running.stop.set()
