"""The composition root of the API: every URL and every collaborator on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import falcon
import orjson
from falcon import media

from api import errors
from api.authentication import Authentication
from api.health import Health
from api.monitors import FAMILIES, MonitorCollection, MonitorItem, Monitors
from api.requests import RequestLog

if TYPE_CHECKING:
    from domain.monitoring import Monitoring
    from projections.catch_up import Projector
    from projections.reader import Reader

App = falcon.App[falcon.Request, falcon.Response]


def create_app(monitoring: Monitoring, reader: Reader, projector: Projector) -> App:
    """Return the WSGI application.

    `projector` keeps the `monitors` view: it catches up after each command, so that a
    caller reads what it wrote, on any worker.
    """
    app: App = falcon.App(middleware=[RequestLog(), Authentication(reader)])
    app.req_options.strip_url_path_trailing_slash = True
    handler = media.JSONHandler(dumps=orjson.dumps, loads=orjson.loads)
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = handler
    errors.register(app)
    app.add_route("/healthz", Health())
    for family in FAMILIES:
        monitors = Monitors(family, monitoring, reader, projector)
        app.add_route(family.path, MonitorCollection(monitors))
        app.add_route(family.path + "/{public_id}", MonitorItem(monitors))
    return app
