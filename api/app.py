"""The composition root of the API: every part that it is built from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import falcon
import falcon.asgi
import orjson
from falcon import media
from falcon.routing import CompiledRouter
from typing_extensions import override

from api.catalog import RESOURCES, openapi_document
from api.http import errors
from api.http.admission import Admission, Check
from api.http.as_of import HEADER as AS_OF_HEADER
from api.http.as_of import AsOf
from api.http.authentication import Authentication, LastUse
from api.http.body import RECEIVE
from api.http.client_address import TrustedProxies
from api.http.execution import Cost, Execution
from api.http.operation import Endpoint, Operation, operations_of
from api.http.query_names import RefuseUnknownParameters
from api.http.quotas import NO_QUOTAS, QuotaLimits, Quotas
from api.http.rate_limit import Counter, RateLimit
from api.http.read_your_writes import ViewGuard
from api.http.request_log import Emit, RequestLog, RouteOfRefused, log_line
from api.http.response import TransportHeaders
from api.resources.absent import ABSENT, refuse
from api.resources.events import NEXT_HEADER
from api.resources.health import MAX_LAG
from api.resources.metrics import RequestMetrics, count_events
from api.resources.monitors import Monitors
from api.resources.parts import Parts
from domain.kinds import KINDS
from store.last_checks import LastChecks

if TYPE_CHECKING:
    from datetime import timedelta

    from projections.catalog import Views
    from store.store import Store


class App(falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]):
    """The ASGI application.

    Falcon waits for the first part of a body before it looks at a request. Here it gets an
    empty part at once, so that a request without a token is refused before its body comes;
    `api.http.body.receive_body` receives the body itself.
    """

    @override
    async def __call__(  # type: ignore[override] # as Falcon overrides its own
        self, scope: dict[str, Any], receive: Any, send: Any
    ) -> None:
        if scope["type"] == "http":
            scope[RECEIVE] = receive
            receive = _receive_nothing
        await super().__call__(scope, receive, send)


_NOTHING: Final = {"type": "http.request", "body": b"", "more_body": False}


async def _receive_nothing() -> dict[str, Any]:
    return _NOTHING


EXPOSED_HEADERS: Final = (
    "ETag",
    "Location",
    "X-Request-Id",
    "Retry-After",
    AS_OF_HEADER,
    NEXT_HEADER,
)
"""Headers of answers that scripts of other origins may read (CORS)."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the API behaves. `counter` must be shared by all workers.

    `log_request` takes the line of each request. `trusted_proxies` are believed in what they
    say about a client's address. `max_view_lag` is the number of events that a
    view may be behind its log before /readyz answers 503. `metrics_monitors`: of how many monitors
    /metrics has numbers; None: of none. `archive_after` is the age at which checks are archived by
    themselves; None: they are not.
    """

    rate_limit_per_minute: int | None = None
    counter: Counter | None = None
    cors_origins: tuple[str, ...] = ()
    log_request: Emit = log_line
    trusted_proxies: TrustedProxies = field(default_factory=TrustedProxies)
    max_view_lag: int = MAX_LAG
    metrics_monitors: int | None = None
    archive_after: timedelta | None = None
    quotas: QuotaLimits = NO_QUOTAS


def create_app(store: Store, views: Views, options: Options | None = None) -> App:
    """Return the ASGI application on a store and its views.

    The `monitors` view catches up after each command, so that a caller reads what it
    wrote, on any worker.
    """
    options = options or Options()
    monitoring, reader = store.monitoring, views.reader
    projector = views.projector("monitors")
    router = CompiledRouter()
    execution = Execution(reads_wait=store.engine.has_fleet)
    middleware = [*_middleware(store, views, options, execution), RouteOfRefused(router)]
    app = App(middleware=middleware, router=router)
    app.req_options.strip_url_path_trailing_slash = True
    handler = media.JSONHandler(dumps=orjson.dumps, loads=orjson.loads)
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = handler
    errors.register(app)
    monitoring.observers += [count_events, projector.recent_events.note]
    if options.counter is not None and any(options.quotas):
        quotas = Quotas(options.quotas, options.counter, monitoring, reader)
        monitoring.guards.append(quotas.guard)
        monitoring.observers.append(quotas.observe)
    last_checks = LastChecks(store.checks, store.archive)
    as_of = AsOf(reader, views.history, views.projector("history"), last_checks)
    parts = Parts(
        store=store,
        views=views,
        execution=execution,
        monitors={name: Monitors(kind, monitoring, views, as_of) for name, kind in KINDS.items()},
        document=openapi_document,
        max_view_lag=options.max_view_lag,
        metrics_monitors=options.metrics_monitors,
        archive_after=options.archive_after,
    )
    for path, operations in _operations(parts).items():
        app.add_route(path, Endpoint(execution, operations))
    return app


def _operations(parts: Parts) -> dict[str, list[Operation]]:
    """Return the operations of each URL: those of the resources, and those that are absent."""
    documented = {
        (each.method.upper(), each.path): each.query_names()
        for resource in RESOURCES
        for each in resource.operations()
    }
    found: dict[str, list[Operation]] = {}
    for resource in RESOURCES:
        for path, responder, suffix in resource.routes(parts):
            found[path] = [
                replace(each, query=documented[each.method, path])
                for each in operations_of(responder, suffix)
            ]
    for method, path in ABSENT:
        absent = Operation(method, refuse(method, path), Cost.SHORT_READ)
        found.setdefault(path, []).append(absent)
    return found


def _middleware(store: Store, views: Views, options: Options, execution: Execution) -> list[Any]:
    """Return the middleware, outermost first: answers pass it in the other direction."""
    limit = None
    if options.rate_limit_per_minute is not None and options.counter is not None:
        limit = RateLimit(options.counter, options.rate_limit_per_minute)
    parts: list[Any] = [
        RequestLog(options.log_request, options.trusted_proxies),
        RequestMetrics(),
        TransportHeaders(),
    ]
    if options.cors_origins:
        parts.append(
            falcon.CORSMiddleware(
                allow_origins=options.cors_origins,
                expose_headers=EXPOSED_HEADERS,
            )
        )
    checks: list[Check] = [Authentication(views.reader, limit=limit)]
    if limit is not None:
        checks.append(limit)
    checks.append(ViewGuard(views.projector("monitors"), views.reader))
    parts += [
        Admission(execution, checks, waits=limit is not None),
        LastUse(store.monitoring, execution),
        RefuseUnknownParameters(),
    ]
    return parts
