"""The composition root of the API: every URL, and every part that the API is built from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import falcon
import falcon.asgi
import orjson
from falcon import media
from falcon.routing import CompiledRouter
from typing_extensions import override

from api.http import errors
from api.http.admission import Admission, Check
from api.http.as_of import HEADER as AS_OF_HEADER
from api.http.as_of import AsOf, RejectAsOf
from api.http.authentication import Authentication, LastUse
from api.http.body import RECEIVE
from api.http.client_address import TrustedProxies
from api.http.execution import Execution
from api.http.operation import Endpoint, operations_of
from api.http.quotas import NO_QUOTAS, QuotaLimits, Quotas
from api.http.rate_limit import Counter, RateLimit
from api.http.read_your_writes import ViewGuard
from api.http.request_log import Emit, RequestLog, RouteOfRefused, log_line
from api.http.response import Streams, TransportHeaders
from api.openapi.page import Documentation, OpenApi
from api.resources.check_history import CheckHistory
from api.resources.customers import CustomerCollection, CustomerItem
from api.resources.events import NEXT_HEADER, Events
from api.resources.health import MAX_LAG, Health, Readiness
from api.resources.log_proofs import LogProofs
from api.resources.metrics import Metrics, RequestMetrics, count_events
from api.resources.monitor_history import MonitorHistory
from api.resources.monitors import MonitorCollection, MonitorItem, Monitors
from api.resources.organization import Locations, OrganizationResource
from api.resources.tokens import CustomerTokens, OrganizationTokens, TokenCollection, TokenItem
from api.resources.uptime import Uptime
from domain.kinds import KINDS
from store.last_checks import LastChecks

if TYPE_CHECKING:
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
    view may be behind its log before /readyz answers 503.
    """

    rate_limit_per_minute: int | None = None
    counter: Counter | None = None
    cors_origins: tuple[str, ...] = ()
    log_request: Emit = log_line
    trusted_proxies: TrustedProxies = field(default_factory=TrustedProxies)
    max_view_lag: int = MAX_LAG
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

    def add(path: str, resource: object, suffix: str | None = None) -> None:
        app.add_route(path, Endpoint(execution, operations_of(resource, suffix)))

    app.req_options.strip_url_path_trailing_slash = True
    handler = media.JSONHandler(dumps=orjson.dumps, loads=orjson.loads)
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = handler
    errors.register(app)
    monitoring.observers += [count_events, projector.recent_events.note]
    if options.counter is not None and any(options.quotas):
        quotas = Quotas(options.quotas, options.counter, monitoring, reader)
        monitoring.guards.append(quotas.guard)
        monitoring.observers.append(quotas.observe)
    add("/healthz", Health())
    needed = {name: views.projector(name) for name in ("monitors", "checks")}
    add("/readyz", Readiness(store, needed, options.max_view_lag))
    add("/metrics", Metrics(views.projectors, store.archive))
    add("/openapi.json", OpenApi())
    documentation = Documentation()
    add("/docs", documentation)
    add("/docs/{name}", documentation, suffix="file")
    past = views.projector("history")
    as_of = AsOf(reader, views.history, past, LastChecks(store.checks, store.archive))
    for kind in KINDS.values():
        monitors = Monitors(kind, monitoring, reader, projector, as_of)
        add(kind.path, MonitorCollection(monitors))
        add(kind.path + "/{public_id}", MonitorItem(monitors))
        history = MonitorHistory(monitors, views.history, past)
        add(kind.path + "/{public_id}/history", history)
        checks = CheckHistory(monitors, store.checks)
        add(kind.path + "/{public_id}/check-history", checks)
        add(
            kind.path + "/{public_id}/uptime",
            Uptime(monitors, views.roll_ups, views.projector("roll_ups")),
        )
    add("/api/events", Events(reader, views.history, past, Streams(execution)))
    add("/api/customers", CustomerCollection(monitoring, reader, projector))
    add("/api/customers/{identifier}", CustomerItem(monitoring, reader, projector))
    for scope in (OrganizationTokens, CustomerTokens):
        tokens = scope(monitoring, reader, projector)
        add(scope.path, TokenCollection(tokens))
        add(scope.path + "/{number}", TokenItem(tokens))
    proofs = LogProofs(store)
    add("/api/logs/{name}/head", proofs, suffix="head")
    add("/api/logs/{name}/inclusion", proofs, suffix="inclusion")
    add("/api/logs/{name}/consistency", proofs, suffix="consistency")
    add("/api/organization", OrganizationResource(reader))
    add("/api/monitoring-locations", Locations(reader))
    return app


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
        RejectAsOf(),
    ]
    return parts
