"""A request id on every request, answer and log line, and a log line for every request."""

from __future__ import annotations

import logging
import re
import time
from typing import Final
from uuid import uuid4

import falcon

log = logging.getLogger("postwatch.api")

_ACCEPTABLE: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestLog:
    """Falcon middleware, the first of all: also a refused request has an id and a line."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the caller's request id, or make one."""
        given = req.get_header("X-Request-Id") or ""
        req.context.request_id = given if _ACCEPTABLE.fullmatch(given) else str(uuid4())
        req.context.started = time.perf_counter()
        resp.set_header("X-Request-Id", req.context.request_id)
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("X-Content-Type-Options", "nosniff")

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - the signature is the framework's
    ) -> None:
        """Log the request: the route, never the query or a header, which may hold secrets."""
        principal = getattr(req.context, "principal", None)
        log.info(
            "%s %s %s %.1fms",
            req.method,
            req.uri_template or "(no route)",
            falcon.http_status_to_code(resp.status),
            (time.perf_counter() - req.context.started) * 1000,
            extra={
                "request_id": req.context.request_id,
                "token_id": getattr(principal, "token_id", None),
            },
        )
