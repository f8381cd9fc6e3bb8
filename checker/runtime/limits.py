"""The limits of one checker process: how much it does at a time, and how long it waits.

`fit_to_open_files` lowers the number of sockets to what the system lets this process open.
"""

from __future__ import annotations

import logging
import resource
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one checker process does at a time.

    Two limits hold back new probes. `starts_per_tick` bounds how many begin in each
    `tick_seconds`, because the CPU of a TLS handshake falsifies the timings of probes beside
    it. `open_sockets` bounds how many run, because each needs memory, and a server that
    hangs keeps its socket until the timeout. `per_destination` connections to one
    address are open at a time, so that no server is flooded. `queue` checks may wait for the store
    before no more probes begin; the recorder waits `linger_seconds` for up to `batch` of
    them. At the stop running probes get `grace_seconds` to end, and what is queued
    `flush_seconds` to be recorded.
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

FILES_PER_CHECK: Final = 2
"""A check resolves IPv4 and IPv6 at once. Each further address that it connects to at the same
time counts as a socket of its own."""

RESERVED_FILES: Final = 128
"""For the files of the store, the metrics server and the runtime."""


def fit_to_open_files(limits: Limits) -> Limits:
    """Raise the soft limit of open files as far as needed; return limits that fit it."""
    wanted = FILES_PER_CHECK * limits.open_sockets + RESERVED_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not _allows(soft, wanted):
        soft = wanted if _allows(hard, wanted) else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if _allows(soft, wanted):
        return limits
    fitting = max((soft - RESERVED_FILES) // FILES_PER_CHECK, 1)
    log.warning(
        "at most %d checks at a time instead of %d: this process may open %d files only; "
        "allow %d (ulimit -n, LimitNOFILE)",
        fitting,
        limits.open_sockets,
        soft,
        wanted,
    )
    return replace(limits, open_sockets=fitting)


def _allows(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
