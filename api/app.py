"""The composition root of the API: every URL and every collaborator on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import falcon
import orjson
from falcon import media

from api import errors
from api.authentication import Authentication
from api.check_history import CheckHistory
from api.customers import CustomerCollection, CustomerItem
from api.documentation import Documentation, OpenApi
from api.health import Health
from api.monitor_family import FAMILIES, Monitors
from api.monitors import MonitorCollection, MonitorItem
from api.organization import Locations, OrganizationResource
from api.requests import RequestLog
from api.tokens import TokenCollection, TokenItem, Tokens

if TYPE_CHECKING:
    from domain.store import Store
    from projections.views import Views

App = falcon.App[falcon.Request, falcon.Response]


def create_app(store: Store, views: Views) -> App:
    """Return the WSGI application on a store and its views.

    The `monitors` view catches up after each command, so that a caller reads what it
    wrote, on any worker.
    """
    monitoring, reader = store.monitoring, views.reader
    projector = views.projector("monitors")
    app: App = falcon.App(middleware=[RequestLog(), Authentication(reader)])
    app.req_options.strip_url_path_trailing_slash = True
    handler = media.JSONHandler(dumps=orjson.dumps, loads=orjson.loads)
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = handler
    errors.register(app)
    app.add_route("/healthz", Health())
    app.add_route("/openapi.json", OpenApi())
    documentation = Documentation()
    app.add_route("/docs", documentation)
    app.add_route("/docs/{name}", documentation, suffix="file")
    for family in FAMILIES:
        monitors = Monitors(family, monitoring, reader, projector)
        app.add_route(family.path, MonitorCollection(monitors))
        app.add_route(family.path + "/{public_id}", MonitorItem(monitors))
        history = CheckHistory(monitors, store.checks)
        app.add_route(family.path + "/{public_id}/check-history", history)
    app.add_route("/api/customers", CustomerCollection(monitoring, reader, projector))
    app.add_route("/api/customers/{identifier}", CustomerItem(monitoring, reader, projector))
    for door, of_customers in (("organization", False), ("customer", True)):
        tokens = Tokens(monitoring, reader, projector, of_customers=of_customers)
        app.add_route(f"/api/{door}/tokens", TokenCollection(tokens))
        app.add_route(f"/api/{door}/tokens/{{number}}", TokenItem(tokens))
    app.add_route("/api/organization", OrganizationResource(reader))
    app.add_route("/api/monitoring-locations", Locations(reader))
    return app
