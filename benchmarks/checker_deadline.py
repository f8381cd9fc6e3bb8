"""How long after its timeout a check of a server that stalls ends, for each place to stall."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from domain.check import Category
from tests.mail.test_deadline import STALLS, TIMEOUT_SECONDS, target
from tests.mailservers.scripted import scripted

if TYPE_CHECKING:
    from mail.prober import Prober


def overtimes_ms(prober: Prober, repeats: int) -> dict[str, list[float]]:
    """Return the milliseconds, one check at a time."""
    return {where: trio.run(_stall, prober, where, repeats) for where in STALLS}


async def _stall(prober: Prober, where: str, repeats: int) -> list[float]:
    mode, script, _ = STALLS[where]
    found = []
    with scripted(script) as port:
        asked = replace(target(port, mode), verify_certificate=False)
        for _ in range(repeats):
            began = trio.current_time()
            outcome = await prober.probe(asked)
            if outcome.category is not Category.TIMEOUT:
                raise RuntimeError(f"{where}: {outcome.message}")
            found.append((trio.current_time() - began - TIMEOUT_SECONDS) * 1000)
    return found


def show(overtimes: dict[str, list[float]]) -> None:
    """Print them."""
    for where, each in overtimes.items():
        print(f"  {where:24} median {statistics.median(each):5.1f}, max {max(each):5.1f} ms")
