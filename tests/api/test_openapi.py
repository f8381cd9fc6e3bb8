"""The document says what the API does: routes, bodies, answers, examples."""

from __future__ import annotations

import gzip
import json
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from falcon import inspect
from openapi_spec_validator import validate

from api.catalog import document_text, openapi_document
from api.openapi import names
from api.openapi.examples import example
from api.resources.absent import ABSENT
from domain.kinds import KINDS
from tests import documented
from tests.api.world import IMAP, SMTP, path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.kinds import ConfigFields
    from tests.api.world import Caller, World


ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = openapi_document()
OPERATIONS = [
    (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
OURS = {"publicId", "allowedCheckCountryCodes"}
SEEDS = {
    "create_smtp_monitor": documented.CREATE_SMTP_EN,
    "create_imap_pop_monitor": documented.CREATE_IMAP_EN,
    "update_smtp_monitor": documented.UPDATE_SMTP_DE,
}


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference inside the document."""
    while "$ref" in node:
        found: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def check(schema: dict[str, Any], value: object) -> None:
    """Raise unless a value fits a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)


def media(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every JSON body of an operation, the request's and the answers'."""
    if "requestBody" in operation:
        yield "request", operation["requestBody"]["content"]["application/json"]
    for status, answer in operation["responses"].items():
        content = resolved(answer).get("content", {})
        if "application/json" in content:
            yield status, content["application/json"]


def in_order(schema: dict[str, Any], value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Return whether every object has the keys of its schema, in their order."""
    schema = resolved(schema)
    if isinstance(value, list):
        if "anyOf" in schema:
            schema = next(each for each in schema["anyOf"] if each.get("type") == "array")
        return all(in_order(schema["items"], each) for each in value)
    if not isinstance(value, dict) or schema.get("additionalProperties") is not False:
        return True
    named = schema["properties"]
    expected = [key for key in named if key in value or key in schema["required"]]
    return list(value) == expected and all(in_order(named[key], value[key]) for key in value)


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"] == "3.1.0"


def test_null_is_one_of_several_types_and_never_the_only_one() -> None:
    # openapi-generator makes nothing that compiles of a property that is only null.
    def bare_nulls(node: object) -> Iterator[object]:
        if isinstance(node, dict):
            if node.get("type") in ("null", ["null"]):
                yield node
            for key, each in node.items():
                yield from bare_nulls(
                    [one for one in each if one != {"type": "null"}] if key == "anyOf" else each
                )
        elif isinstance(node, list):
            for each in node:
                yield from bare_nulls(each)

    assert list(bare_nulls(DOCUMENT)) == []


def test_the_committed_file_is_the_generated_document() -> None:
    committed = (ROOT / "docs" / "openapi.json").read_bytes()
    assert committed == document_text(), "run: make openapi"


def test_the_file_is_written_by_running_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "openapi.json"
    monkeypatch.setattr(sys, "argv", ["api.openapi", str(written)])
    runpy.run_module("api.openapi", run_name="__main__")
    assert written.read_bytes() == document_text()


def test_every_route_is_in_the_document_and_the_other_way_round(world: World) -> None:
    routed = {
        (method.method, route.path)
        for route in inspect.inspect_routes(world.app)
        for method in route.methods
        if not method.internal and method.method != "HEAD"
    }
    assert routed - set(ABSENT) == {(method.upper(), path) for method, path, _ in OPERATIONS}


def test_head_is_answered_wherever_get_is(world: World) -> None:
    methods = {
        route.path: {each.method for each in route.methods}
        for route in inspect.inspect_routes(world.app)
    }
    assert all(("HEAD" in each) == ("GET" in each) for each in methods.values())
    assert ("HEAD" in methods["/healthz"], "HEAD" in methods[SMTP]) == (True, True)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_what_needs_no_token_is_said_to_be_open(
    world: World, method: str, path: str, operation: dict[str, Any]
) -> None:
    ids = dict.fromkeys(("public_id", "identifier", "number", "package_type"), "x")
    where = path.format(**ids, name="docs.js")
    answer = world.caller("nobody").send(method.upper(), where, "")
    is_open = operation.get("security") == []
    assert (answer.status_code != 401) == is_open
    assert ("401" in operation["responses"]) == (not is_open)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_an_operation_is_complete(method: str, path: str, operation: dict[str, Any]) -> None:
    assert operation["operationId"]
    assert operation["summary"]
    assert operation["tags"][0] in {tag["name"] for tag in DOCUMENT["tags"]}
    named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"}
    assert {f"{{{name}}}" for name in named} == {part for part in path.split("/") if "{" in part}
    has_body = method in {"post", "patch"} and not path.endswith("/trigger-check")
    has_body = has_body or (method, path) == ("delete", "/api/monitor-tags")
    assert ("requestBody" in operation) == has_body


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_every_example_fits_its_schema_in_order(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    for where, each in media(operation):
        for shown in each.get("examples", {}).values():
            check(each["schema"], shown["value"])
            assert where == "request" or in_order(each["schema"], shown["value"]), (method, path)


@pytest.mark.parametrize("name", SEEDS)
def test_the_examples_are_those_of_the_documented_pages(name: str) -> None:
    shown, seed = example(name), SEEDS[name]
    assert shown["page"] == seed.page
    assert json.dumps(shown["request"]) in (json.dumps(seed.body), json.dumps(seed.curl))
    ours = {key: value for key, value in shown["response"].items() if key not in OURS}
    assert json.dumps(ours) == json.dumps(seed.response)


def test_every_key_of_a_config_is_described() -> None:
    def keys(fields: ConfigFields) -> dict[str, Any]:
        return {
            key: keys(each) if isinstance(each, Mapping) else {} for key, each in fields.items()
        }

    def described(schema: dict[str, Any]) -> dict[str, Any]:
        return {
            key: described(each) if "properties" in each else {}
            for key, each in schema["properties"].items()
        }

    for kind in KINDS.values():
        for component in (names.config(kind), names.sent_config(kind)):
            schema = DOCUMENT["components"]["schemas"][component]
            assert described(schema) == keys(kind.config)


def test_an_update_has_no_defaults_that_a_client_might_send() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if name.startswith("Update"):
            assert all("default" not in each for each in schema["properties"].values())


def test_units_are_said_wherever_a_duration_is_shown() -> None:
    units = {"checkInterval": "Minutes", "timeoutSeconds": "Seconds"}
    for schema in DOCUMENT["components"]["schemas"].values():
        for key, unit in units.items():
            found = schema.get("properties", {}).get(key)
            assert found is None or found["description"].startswith(unit)


@pytest.mark.parametrize("kind", ["smtp", "imap_pop"])
def test_real_answers_fit_the_document_in_order(world: World, kind: str) -> None:
    collection = {"smtp": SMTP, "imap_pop": IMAP}[kind]
    paths = DOCUMENT["paths"]
    created = world.admin.post(collection, world.body(kind, port=25))
    item = f"{collection}/{created.json['publicId']}"
    answers = [
        (created, paths[collection]["post"]),
        (world.admin.get(collection), paths[collection]["get"]),
        (world.admin.get(item), paths[collection + "/{public_id}"]["get"]),
        (world.admin.patch(item, {"port": None}), paths[collection + "/{public_id}"]["patch"]),
        (world.admin.get(f"{collection}/x"), paths[collection + "/{public_id}"]["get"]),
        (world.admin.post(collection, {}), paths[collection]["post"]),
        (world.admin.delete(item), paths[collection + "/{public_id}"]["delete"]),
    ]
    for answer, operation in answers:
        fits(answer, operation)


def test_real_answers_about_owners_fit_the_document_in_order(world: World) -> None:
    paths, admin = DOCUMENT["paths"], world.admin
    customer = admin.post("/api/customers", {"name": "New"})
    token = admin.post("/api/organization/tokens", {"name": "New"})
    where = f"/api/customers/{customer.json['customer']['publicId']}"
    answers = [
        (customer, paths["/api/customers"]["post"]),
        (token, paths["/api/organization/tokens"]["post"]),
        (admin.get("/api/customers"), paths["/api/customers"]["get"]),
        (admin.get(where), paths["/api/customers/{identifier}"]["get"]),
        (admin.patch(where, {"email": None}), paths["/api/customers/{identifier}"]["patch"]),
        (admin.get("/api/organization/tokens"), paths["/api/organization/tokens"]["get"]),
        (admin.get("/api/customer/tokens"), paths["/api/customer/tokens"]["get"]),
        (admin.get("/api/organization"), paths["/api/organization"]["get"]),
        (admin.get("/api/monitoring-locations"), paths["/api/monitoring-locations"]["get"]),
    ]
    for answer, operation in answers:
        fits(answer, operation)


def fits(answer: Any, operation: dict[str, Any]) -> None:  # noqa: ANN401 - falcon's result is generic
    """Raise unless an answer is as the document says."""
    described = resolved(operation["responses"][str(answer.status_code)])
    schema = described["content"]["application/json"]["schema"]
    check(schema, answer.json)
    assert in_order(schema, answer.json), operation["operationId"]
    for name, header in described["headers"].items():
        if resolved(header).get("required"):
            assert name.lower() in answer.headers


@pytest.mark.parametrize("name", ["create_smtp_monitor", "create_imap_pop_monitor"])
def test_the_documented_create_is_accepted(world: World, name: str) -> None:
    body = {**example(name)["request"], "customerId": str(world.owners["own"].customer.id)}
    path = SMTP if "smtp" in name else IMAP
    assert world.admin.post(path, body).status_code == 201


def test_the_documented_update_is_accepted(world: World) -> None:
    body = example("update_smtp_monitor")["request"]
    assert world.admin.patch(path_of(world.monitor("smtp")), body).status_code == 200


def served(caller: Caller, **headers: str) -> Any:  # noqa: ANN401 - falcon's result is generic
    return caller.send("GET", "/openapi.json", "", headers)


def test_the_document_is_served_without_a_token(world: World) -> None:
    answer = served(world.caller("nobody"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == json.loads(json.dumps(DOCUMENT))


def test_the_document_is_compressed_for_who_takes_it(world: World) -> None:
    answer = served(world.caller("nobody"), **{"Accept-Encoding": "br, gzip;q=0.8"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert json.loads(gzip.decompress(answer.content)) == json.loads(json.dumps(DOCUMENT))
    refused = served(world.caller("nobody"), **{"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


def test_the_document_is_not_sent_again_to_who_has_it(world: World) -> None:
    tag = served(world.caller("nobody")).headers["etag"]
    again = served(world.caller("nobody"), **{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert served(world.caller("nobody"), **{"If-None-Match": '"other"'}).status_code == 200
