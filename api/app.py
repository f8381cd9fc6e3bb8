"""The composition root of the API: every URL, and every part that the API is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import falcon
import orjson
from falcon import media
from falcon.routing import CompiledRouter

from api.http import errors
from api.http.as_of import HEADER as AS_OF_HEADER
from api.http.as_of import AsOf, RejectAsOf
from api.http.authentication import Authentication, LastUse
from api.http.rate_limit import Counter, RateLimit
from api.http.read_your_writes import ViewGuard
from api.http.request_log import Emit, RequestLog, RouteOfRefused, log_line
from api.http.response import TransportHeaders
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


App = falcon.App[falcon.Request, falcon.Response]

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

    `log_request` takes the line of each request. `max_view_lag` is the number of events that a
    view may be behind its log before /readyz answers 503.
    """

    rate_limit_per_minute: int | None = None
    counter: Counter | None = None
    cors_origins: tuple[str, ...] = ()
    log_request: Emit = log_line
    max_view_lag: int = MAX_LAG


def create_app(store: Store, views: Views, options: Options | None = None) -> App:
    """Return the WSGI application on a store and its views.

    The `monitors` view catches up after each command, so that a caller reads what it
    wrote, on any worker.
    """
    options = options or Options()
    monitoring, reader = store.monitoring, views.reader
    projector = views.projector("monitors")
    router = CompiledRouter()
    middleware = [*_middleware(store, views, options), RouteOfRefused(router)]
    app: App = falcon.App(middleware=middleware, router=router)
    app.req_options.strip_url_path_trailing_slash = True
    handler = media.JSONHandler(dumps=orjson.dumps, loads=orjson.loads)
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = handler
    errors.register(app)
    monitoring.observers += [count_events, projector.recent_events.note]
    app.add_route("/healthz", Health())
    needed = {name: views.projector(name) for name in ("monitors", "checks")}
    app.add_route("/readyz", Readiness(store, needed, options.max_view_lag))
    app.add_route("/metrics", Metrics(views.projectors, store.archive))
    app.add_route("/openapi.json", OpenApi())
    documentation = Documentation()
    app.add_route("/docs", documentation)
    app.add_route("/docs/{name}", documentation, suffix="file")
    past = views.projector("history")
    as_of = AsOf(reader, views.history, past, LastChecks(store.checks, store.archive))
    for kind in KINDS.values():
        monitors = Monitors(kind, monitoring, reader, projector, as_of)
        app.add_route(kind.path, MonitorCollection(monitors))
        app.add_route(kind.path + "/{public_id}", MonitorItem(monitors))
        history = MonitorHistory(monitors, views.history, past)
        app.add_route(kind.path + "/{public_id}/history", history)
        checks = CheckHistory(monitors, store.checks)
        app.add_route(kind.path + "/{public_id}/check-history", checks)
        app.add_route(
            kind.path + "/{public_id}/uptime",
            Uptime(monitors, views.roll_ups, views.projector("roll_ups")),
        )
    app.add_route("/api/events", Events(reader, views.history, past))
    app.add_route("/api/customers", CustomerCollection(monitoring, reader, projector))
    app.add_route("/api/customers/{identifier}", CustomerItem(monitoring, reader, projector))
    for scope in (OrganizationTokens, CustomerTokens):
        tokens = scope(monitoring, reader, projector)
        app.add_route(scope.path, TokenCollection(tokens))
        app.add_route(scope.path + "/{number}", TokenItem(tokens))
    proofs = LogProofs(store)
    app.add_route("/api/logs/{name}/head", proofs, suffix="head")
    app.add_route("/api/logs/{name}/inclusion", proofs, suffix="inclusion")
    app.add_route("/api/logs/{name}/consistency", proofs, suffix="consistency")
    app.add_route("/api/organization", OrganizationResource(reader))
    app.add_route("/api/monitoring-locations", Locations(reader))
    return app


def _middleware(store: Store, views: Views, options: Options) -> list[Any]:
    """Return the middleware, outermost first: answers pass it in the other direction."""
    limit = None
    if options.rate_limit_per_minute is not None and options.counter is not None:
        limit = RateLimit(options.counter, options.rate_limit_per_minute)
    parts: list[Any] = [RequestLog(options.log_request), RequestMetrics(), TransportHeaders()]
    if options.cors_origins:
        parts.append(
            falcon.CORSMiddleware(
                allow_origins=options.cors_origins,
                expose_headers=EXPOSED_HEADERS,
            )
        )
    parts += [Authentication(views.reader, limit=limit), LastUse(store.monitoring)]
    if limit is not None:
        parts.append(limit)
    parts += [ViewGuard(views.projector("monitors"), views.reader), RejectAsOf()]
    return parts
