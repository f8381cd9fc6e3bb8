"""Rate limit: requests a minute for each caller, counted for all workers (contract Q-26).

A request with a valid token counts for the token, and for its customer and organization, which
have some times the limit of a token; another one counts for its address (an IPv6 address for its
/64 network), so that guessing at tokens is slow. While the counter fails, on a full disk for
example, requests are answered without a limit.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

import falcon

from api.http.client_address import holder_of
from store.ports.errors import STORE_UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable


log = logging.getLogger("postwatch.api")

WINDOW_SECONDS: Final = 60
CUSTOMER_SHARES: Final = 5
ORGANIZATION_SHARES: Final = 10
"""How many times the limit of one token all tokens of a customer, or of an organization, have.

Otherwise a token could issue others, and each would have a limit of its own."""


class Counter(ABC):
    """Counts requests of callers in a window of time, for all workers together."""

    @abstractmethod
    def count(self, caller: str, window: int, amount: int = 1, current: int | None = None) -> int:
        """Count `amount` more and return how many there are in the window now.

        Counts of windows before `current` are forgotten, by default those before `window`.
        Raises an error of STORE_UNAVAILABLE when it cannot.
        """


class RateLimit:
    """Check of admission, after authentication. Machines that ask /healthz are not counted."""

    def __init__(
        self, counter: Counter, per_minute: int, now: Callable[[], float] = time.time
    ) -> None:
        self._counter = counter
        self._per_minute = per_minute
        self._now = now
        self._is_away = False

    def refuse_stranger(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Count a request that has no valid token. Raises 429."""
        self._count(f"address {holder_of(req.context.client)}", resp)

    def check(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Count a request of a token, whatever path it asks for. Raises 429."""
        principal = getattr(req.context, "principal", None)
        if principal is None:
            return
        self._count(f"token {principal.token_id}", resp)
        if principal.customer_id is not None:
            self._count(f"customer {principal.customer_id}", resp, CUSTOMER_SHARES)
        self._count(f"organization {principal.organization_id}", resp, ORGANIZATION_SHARES)

    def _count(self, caller: str, resp: falcon.Response, shares: int = 1) -> None:
        """Count a request of a caller that may make `shares` times as many as one token.

        The headers are about the limit of which the least is left.
        """
        now, limit = self._now(), self._per_minute * shares
        window = int(now // WINDOW_SECONDS)
        left = limit - self._counted(caller, window)
        seconds_left = int((window + 1) * WINDOW_SECONDS - now) + 1
        if shares == 1 or left < int(resp.get_header("X-RateLimit-Remaining") or 0):
            resp.set_header("X-RateLimit-Limit", str(limit))
            resp.set_header("X-RateLimit-Remaining", str(max(left, 0)))
            resp.set_header("X-RateLimit-Reset", str(seconds_left))
        if left < 0:
            who = caller.partition(" ")[0]
            raise falcon.HTTPTooManyRequests(
                description=f"More than {limit} requests of one {who} in a minute; try again later",
                retry_after=seconds_left,
            )

    def _counted(self, caller: str, window: int) -> int:
        """Return how many requests there are in the window; 0 when the counter fails."""
        try:
            used = self._counter.count(caller, window)
        except STORE_UNAVAILABLE as error:
            if not self._is_away:
                log.error("requests are not counted, so not limited: %s", type(error).__name__)  # noqa: TRY400 - expected, and one line is enough
            self._is_away = True
            return 0
        self._is_away = False
        return used
