"""How often a caller may ask, by a setting; one count for all workers (contract Q-26).

A token counts for itself, wherever it calls from; requests without a valid token count
for their address, so that guessing at tokens is slow.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

import falcon

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS: Final = 60


class Counter(ABC):
    """Counts requests of callers in a window of time, for all workers together."""

    @abstractmethod
    def count(self, caller: str, window: int) -> int:
        """Count one more request and return how many there are in the window now."""


class RateLimit:
    """Falcon middleware, after authentication. Machines that ask /healthz are not counted."""

    def __init__(
        self, counter: Counter, per_minute: int, now: Callable[[], float] = time.time
    ) -> None:
        self._counter = counter
        self._per_minute = per_minute
        self._now = now

    def refuse_stranger(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Count a request that has no valid token. Raises 429."""
        self._count(f"address {req.remote_addr}", resp)

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Count a request of a token, whatever path it asks for. Raises 429."""
        principal = getattr(req.context, "principal", None)
        if principal is not None:
            self._count(f"token {principal.token_id}", resp)

    def _count(self, caller: str, resp: falcon.Response) -> None:
        now = self._now()
        window = int(now // WINDOW_SECONDS)
        used = self._counter.count(caller, window)
        seconds_left = int((window + 1) * WINDOW_SECONDS - now) + 1
        resp.set_header("X-RateLimit-Limit", str(self._per_minute))
        resp.set_header("X-RateLimit-Remaining", str(max(self._per_minute - used, 0)))
        resp.set_header("X-RateLimit-Reset", str(seconds_left))
        if used > self._per_minute:
            raise falcon.HTTPTooManyRequests(
                description=f"More than {self._per_minute} requests in a minute; try again later",
                retry_after=seconds_left,
            )
