"""Every resource of the API: the one list that the routes and the OpenAPI document follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from api.openapi.document import build_document
from api.resources import (
    all_monitors,
    check_history,
    customers,
    documentation,
    events,
    health,
    incidents,
    log_proofs,
    maintenance_windows,
    metrics,
    monitor_details,
    monitor_history,
    monitor_incidents,
    monitor_summary,
    monitors,
    notification_channels,
    organization,
    package_configs,
    tags,
    tokens,
    trigger_check,
    uptime,
)

if TYPE_CHECKING:
    from api.http.fields import Schema
    from api.openapi.resource import Resource


RESOURCES: Final[tuple[Resource, ...]] = (
    monitors.RESOURCE,
    monitor_history.RESOURCE,
    check_history.RESOURCE,
    trigger_check.RESOURCE,
    uptime.RESOURCE,
    monitor_incidents.RESOURCE,
    monitor_details.RESOURCE,
    all_monitors.RESOURCE,
    monitor_summary.RESOURCE,
    incidents.RESOURCE,
    customers.RESOURCE,
    tokens.RESOURCE,
    organization.RESOURCE,
    tags.RESOURCE,
    maintenance_windows.RESOURCE,
    notification_channels.RESOURCE,
    package_configs.RESOURCE,
    events.RESOURCE,
    log_proofs.RESOURCE,
    health.RESOURCE,
    metrics.RESOURCE,
    documentation.RESOURCE,
)
"""In the order of the document."""


def openapi_document() -> Schema:
    """Return the OpenAPI document of the API."""
    return build_document(RESOURCES)


def document_text() -> bytes:
    """Return the document as it is kept in `docs/openapi.json`, for people to read."""
    return orjson.dumps(openapi_document(), option=orjson.OPT_INDENT_2) + b"\n"
