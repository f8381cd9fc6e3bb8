"""How much a checker does at a time, and how long it waits: every figure in one place.

Fits the budget of open sockets to what the system lets this process open.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The budgets of one checker process.

    Two budgets hold back new probes: how many begin in each `tick_seconds` (the CPU of a
    TLS handshake, which would falsify the timings of its neighbours) and how many sockets
    are open (memory; hanging targets keep theirs until their timeout). `per_destination`
    checks go to one address at a time, so that no server sees a flood. `queue` is the
    number of checks that may wait for the store before no more probes begin.
    """

    open_sockets: int = 4000
    starts_per_tick: int = 10
    tick_seconds: float = 0.02
    per_destination: int = 10
    queue: int = 1000
    batch: int = 200
    linger_seconds: float = 0.2
    grace_seconds: float = 10.0
    flush_seconds: float = 10.0


log = logging.getLogger("postwatch.checker")

PER_CHECK: Final = 2
"""A check asks for both families of a name at once, or tries two addresses at once."""

RESERVE: Final = 128
"""For the logs, the keys, the metrics and the runtime."""


def fit_to_descriptors(limits: Limits) -> Limits:
    """Raise the soft limit of open files as far as needed; return limits that keep within it."""
    wanted = PER_CHECK * limits.open_sockets + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not _allows(soft, wanted):
        soft = wanted if _allows(hard, wanted) else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if _allows(soft, wanted):
        return limits
    fitting = max((soft - RESERVE) // PER_CHECK, 1)
    log.warning(
        "at most %d checks at a time instead of %d: this process may open %d files only; "
        "allow %d (ulimit -n, LimitNOFILE)",
        *(fitting, limits.open_sockets, soft, wanted),
    )
    return replace(limits, open_sockets=fitting)


def _allows(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
