"""The whole document."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from api.openapi import (
    audit_operations,
    check_responses,
    configs,
    monitor_operations,
    names,
    owner_operations,
    owner_responses,
    problems,
    proof_operations,
    responses,
    service_operations,
    uptime_operations,
)
from api.openapi.vocabulary import SUCCESS, closed, ref
from api.resources.monitor_body import CREATE_BODIES, UPDATE_BODIES, body_schema
from domain.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from api.http.fields import Schema
    from api.openapi.operations import Operation


_DESCRIPTION: Final = """\
Watches mail servers; every change and every check is an event.

Send a token as `Authorization: Bearer wsm_...`. Bodies are JSON with a `Content-Length`, at
most 64 KiB. Times are ISO 8601 in UTC with milliseconds. `checkInterval` is in **minutes**,
`timeoutSeconds` in seconds.

Every answer bears `X-Request-Id`; a request may bring its own (8 to 64 of `A-Z a-z 0-9 . _ -`).
Every error has the same body, which names the request and, for a wrong body, every wrong field.
"""
_TAGS: Final = (
    *((names.tag(kind), kind.about) for kind in KINDS.values()),
    (owner_operations.CUSTOMERS, "The owners of monitors."),
    (owner_operations.TOKENS, "Who may call. Two URL families show the same tokens."),
    (owner_operations.ORGANIZATION, "The organization of the token, and where checks are made."),
    (audit_operations.TAG, "Who changed what, and when."),
    (proof_operations.TAG, "That a log was not changed: docs/proof.md says how to check them."),
    (service_operations.TAG, "The service itself."),
)


def build_document(documentation_files: Iterable[str]) -> Schema:
    """Return the OpenAPI document; the files are those of the page that shows it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Postwatch",
            "version": version("postwatch"),
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS],
        "paths": _paths(_operations(tuple(documentation_files))),
        "components": {
            "schemas": _schemas(),
            "responses": problems.components(),
            "headers": _headers(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of an organization or of one customer: `wsm_...`.",
                }
            },
        },
    }


def _operations(documentation_files: tuple[str, ...]) -> Iterator[Operation]:
    yield from monitor_operations.operations()
    yield from uptime_operations.operations()
    yield from owner_operations.operations()
    yield from audit_operations.operations()
    yield from proof_operations.operations()
    yield from service_operations.operations(documentation_files)


def _paths(operations: Iterable[Operation]) -> Schema:
    paths: Schema = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation.rendered()
    return paths


def _schemas() -> Schema:
    bodies = {}
    for kind in KINDS.values():
        config = ref(names.sent_config(kind))
        for action, models in (("Create", CREATE_BODIES), ("Update", UPDATE_BODIES)):
            bodies[names.body(action, kind)] = body_schema(models[kind.name], kind, config)
        bodies[names.sent_config(kind)] = configs.sent(kind)
    return {
        **bodies,
        **owner_operations.bodies(),
        **responses.monitor_components(),
        **check_responses.components(),
        **uptime_operations.components(),
        **owner_responses.components(),
        **audit_operations.components(),
        **proof_operations.components(),
        **service_operations.components(),
        "Success": closed(SUCCESS),
        **problems.schemas(),
    }


def _headers() -> Schema:
    count: Schema = {"schema": {"type": "integer", "minimum": 0}}
    return {
        "RateLimit": {"description": "Requests a minute, where a limit is set.", **count},
        "RateLimitRemaining": {"description": "How many are left in this minute.", **count},
        "RateLimitReset": {"description": "Seconds until the next minute begins.", **count},
        "RequestId": {
            "description": "The id of the request in the log.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$"},
            "required": True,
        },
        "EntityTag": {
            "description": "Names this version, for `If-Match` or `If-None-Match`.",
            "schema": {"type": "string"},
            "required": True,
        },
        "AsOfPosition": {
            "description": "The position of the log that the answer shows. Sent as `asOf`, it "
            "gives the same configuration again, whatever changed since.",
            **count,
            "required": True,
        },
        "NextPosition": {
            "description": "Send it as `after` to go on.",
            **count,
            "required": True,
        },
        "Location": {
            "description": "The path of what was made.",
            "schema": {"type": "string"},
            "required": True,
        },
    }
