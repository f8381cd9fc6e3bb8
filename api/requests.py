"""A request id on every request, answer and log line, and a log line for every request."""

from __future__ import annotations

import logging
import re
import time
from typing import Final
from uuid import uuid4

import falcon

log = logging.getLogger("postwatch.api")

QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes that machines ask all the time: their lines are for debugging only."""

_ACCEPTABLE: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestLog:
    """Falcon middleware, the first of all: also a refused request has an id and a line."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the caller's request id, or make one."""
        given = req.get_header("X-Request-Id") or ""
        req.context.request_id = given if _ACCEPTABLE.fullmatch(given) else str(uuid4())
        req.context.started = time.perf_counter()
        resp.set_header("X-Request-Id", req.context.request_id)

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - the signature is the framework's
    ) -> None:
        """Log the request: the route, never the query or a header, which may hold secrets."""
        level = logging.DEBUG if req.uri_template in QUIET else logging.INFO
        if not log.isEnabledFor(level):
            return
        principal = getattr(req.context, "principal", None)
        status = falcon.http_status_to_code(resp.status)
        duration = round((time.perf_counter() - req.context.started) * 1000, 1)
        route = req.uri_template or "(no route)"
        # Not log.info(): it would look for the calling line, which is always this one.
        record = log.makeRecord(
            *(log.name, level, __file__, 0),
            "%s %s %d %sms",
            (req.method, route, status, duration),
            None,
            extra={
                "method": req.method,
                "route": route,
                "status": status,
                "duration_ms": duration,
                "request_id": req.context.request_id,
                "token_id": getattr(principal, "token_id", None),
            },
        )
        log.handle(record)
