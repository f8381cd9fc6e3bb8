"""Admission: whether a request may go on to its operation, before anything else is done for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from api.http.execution import Cost

if TYPE_CHECKING:
    from collections.abc import Sequence

    import falcon
    import falcon.asgi

    from api.http.execution import Execution


class Check(Protocol):
    """One check of admission."""

    def check(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raise what refuses the request."""


class Admission:
    """Falcon middleware that makes the checks in order, and in one go.

    `waits` says that a check uses more than a short read, such as a shared counter.
    """

    def __init__(self, execution: Execution, checks: Sequence[Check], *, waits: bool) -> None:
        self._execution = execution
        self._checks = checks
        self._cost = Cost.WRITE if waits else Cost.SHORT_READ

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Raise what a check raises: 401, 429, 503."""
        if self._execution.runs_on_loop(self._cost):
            self._check(req, resp)
            return
        # The organization is not known yet, so callers take turns by address.
        await self._execution.run(self._cost, req.context.client, lambda: self._check(req, resp))

    def _check(self, req: falcon.Request, resp: falcon.Response) -> None:
        for each in self._checks:
            each.check(req, resp)
