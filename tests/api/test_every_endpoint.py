"""Every operation of the OpenAPI document succeeds once on each engine."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from api.catalog import openapi_document
from store.proving import log_proof
from tests.api.world import PATHS
from tests.domain.given import TESTER
from tests.store.decisions import open_incident

if TYPE_CHECKING:
    from uuid import UUID

    from tests.api.world import World


OPERATIONS = [
    (method.upper(), path)
    for path, methods in openapi_document()["paths"].items()
    for method in methods
]
CREATED, NO_CONTENT = 201, 204
SMALLEST: dict[str, dict[str, Any]] = {
    "/api/tags": {"name": "Production", "color": "red"},
    "/api/notification-channels": {
        "type": "email",
        "name": "Ops Email",
        "config": {"email": "ops@example.com"},
    },
    "/api/maintenance-windows": {
        "name": "Database migration",
        "startTime": "2027-07-10T22:00:00Z",
        "endTime": "2027-07-11T01:00:00Z",
    },
}
ACTIONS: dict[str, dict[str, Any]] = {
    "trigger-check": {},
    "acknowledge": {},
    "close": {"reason": "moved away"},
}


def path_in(world: World, template: str) -> str:
    """Return a path of the document with the name of something that exists."""
    if "{name}" in template:
        return template.format(name="monitoring" if "/logs/" in template else "docs.js")
    if "{package_type}" in template:
        return template.format(package_type=_package(world))
    if "{identifier}" in template:
        return template.format(identifier=_identifier(world, template))
    if "{number}" in template:
        collection = template.removesuffix("/{number}")
        body = body_of(world, "POST", collection)
        return template.format(number=world.admin.post(collection, body).json["id"])
    if "{public_id}" not in template:
        return template
    return template.format(public_id=_public_id(world, template))


def _identifier(world: World, template: str) -> int:
    collection = template.removesuffix("/{identifier}")
    if collection not in SMALLEST:
        return world.owners["own"].customer.number
    number: int = world.admin.post(collection, body_of(world, "POST", collection)).json["id"]
    return number


def _package(world: World) -> str:
    """Make a package that no customer has; return its key."""
    assert world.admin.patch("/api/package-configs/spare", {}).status_code == 200
    return "spare"


def _public_id(world: World, template: str) -> UUID:
    if template.startswith("/api/incidents/"):
        return open_incident(world.store, world.monitor()).id
    if template.endswith("/trigger-check"):
        world.store.monitoring.register_location("de-nbg", "Nuremberg", "DE", TESTER)
    kind = next(kind for kind, path in PATHS.items() if template.startswith(path))
    return world.monitor(kind).id


def body_of(world: World, method: str, path: str) -> dict[str, Any] | None:
    """Return the smallest body that the operation accepts."""
    customer = {"customerId": world.owners["own"].customer.number}
    if path == "/api/monitor-tags":
        tag = world.admin.post("/api/tags", body_of(world, "POST", "/api/tags")).json["id"]
        number = world.monitor().number
        return {"monitorType": "smtp", "monitorId": number, "tagId": tag}
    if method != "POST":
        key = "displayName" if path.startswith("/api/package-configs/") else "name"
        return {key: "Renamed"} if method == "PATCH" else None
    for kind, collection in PATHS.items():
        if path == collection:
            return world.body(kind)
    action = path.rpartition("/")[2]
    if action in ACTIONS:
        return ACTIONS[action]
    if path in SMALLEST:
        return {**SMALLEST[path], **(customer if path == "/api/maintenance-windows" else {})}
    return {"name": "New", **(customer if path.startswith("/api/customer/") else {})}


INSTALLATION_ONLY = re.compile("^/metrics$|^/api/logs/")
QUERIES = {"inclusion": {"position": 1}, "consistency": {"first": 1}}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.both_engines
def test_an_operation_succeeds(world: World, method: str, path: str) -> None:
    proof = log_proof(world.store, "monitoring")
    proof.grow()
    proof.sign()
    where, body = path_in(world, path), body_of(world, method, path)

    if INSTALLATION_ONLY.search(where):
        answer = world.operator.get(where, **QUERIES.get(path.rpartition("/")[2], {}))
    elif body is None:
        query = QUERIES.get(path.rpartition("/")[2], {})
        answer = (
            world.admin.delete(where) if method == "DELETE" else world.admin.get(where, **query)
        )
    else:
        answer = world.admin.send(method, where, json.dumps(body))

    creates = method == "POST" and path.rpartition("/")[2] not in ACTIONS
    expected = CREATED if creates else NO_CONTENT if method == "DELETE" and body else 200
    assert answer.status_code == expected, answer.text
