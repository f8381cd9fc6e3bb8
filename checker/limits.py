"""How much a checker does at a time, and how long it waits: every figure in one place."""

from __future__ import annotations

from dataclasses import dataclass


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
