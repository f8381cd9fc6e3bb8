"""A request id on every request, answer and log line, and a log line for every request."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import falcon

from api.http.client_address import FORWARDED_FOR, UNKNOWN, TrustedProxies

if TYPE_CHECKING:
    from falcon.routing import CompiledRouter


log = logging.getLogger("postwatch.api")

QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes that machines poll: their lines have the level `debug`."""

_RANDOM_BYTES: Final = 16
_ACCEPTABLE: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


Line = dict[str, str | int | float | None]
Emit = Callable[[int, Line], None]
"""Takes the level of a line and its fields, `message` among them."""


def log_line(level: int, line: Line) -> None:
    """Log a line with the service's other lines."""
    # Not log.info(): it would look for the calling line, which is always this one.
    message = str(line.pop("message"))
    log.handle(log.makeRecord(log.name, level, __file__, 0, message, (), None, extra=line))


def new_request_id() -> str:
    """Return an id for a request that came without a usable one."""
    return os.urandom(_RANDOM_BYTES).hex()


class RequestLog:
    """Falcon middleware, the outermost: refused requests have an id and a line, too."""

    def __init__(self, emit: Emit = log_line, proxies: TrustedProxies | None = None) -> None:
        self._emit = emit
        self._proxies = proxies or TrustedProxies()

    async def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the caller's request id, or make one; find out the client's address."""
        given = req.get_header("X-Request-Id")
        is_usable = given is not None and _ACCEPTABLE.fullmatch(given)
        req.context.request_id = given if is_usable else new_request_id()
        forwarded = req.get_header(FORWARDED_FOR)
        req.context.client = self._proxies.client(req.remote_addr or UNKNOWN, forwarded)
        req.context.started = time.perf_counter()
        resp.set_header("X-Request-Id", req.context.request_id)

    async def process_response(
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
        line: Line = {
            "message": f"{req.method} {route} {status} {duration}ms",
            "method": req.method,
            "route": route,
            "status": status,
            "duration_ms": duration,
            "request_id": req.context.request_id,
            "client": req.context.client,
        }
        if principal is not None:
            line["token_id"] = principal.token_id
        self._emit(level, line)


class RouteOfRefused:
    """Falcon middleware, the innermost: finds the route of requests refused before routing.

    Authentication comes before routing. Log and metrics also name the route of refused
    requests, so this middleware looks the route up after the answer was made. The answer does
    not show the route.
    """

    def __init__(self, router: CompiledRouter) -> None:
        self._router = router

    async def process_response(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - the signature is the framework's
    ) -> None:
        """Look the route up if the request was refused before routing."""
        if req.uri_template is None:
            found = self._router.find(req.path, req)
            req.uri_template = found[-1] if found else None
