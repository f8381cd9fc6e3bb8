"""The whole document."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from api.openapi import problems
from api.openapi.vocabulary import SUCCESS, closed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.http.fields import Schema
    from api.openapi.resource import Resource


_DESCRIPTION: Final = """\
Watches mail servers; every change and every check is an event.

Send a token as `Authorization: Bearer wsm_...`. Bodies are JSON with a `Content-Length`, at
most 64 KiB. Times are ISO 8601 in UTC with milliseconds. `checkInterval` is in **minutes**,
`timeoutSeconds` in seconds.

Every answer bears `X-Request-Id`; a request may bring its own (8 to 64 of `A-Z a-z 0-9 . _ -`).
Every error has the same body, which names the request and, for a wrong body, every wrong field.
"""


def build_document(resources: Sequence[Resource]) -> Schema:
    """Return the OpenAPI document of some resources."""
    tags = dict.fromkeys(tag for resource in resources for tag in resource.tags)
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
        "tags": [each._asdict() for each in tags],
        "paths": _paths(resources),
        "components": {
            "schemas": _schemas(resources),
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


def _paths(resources: Sequence[Resource]) -> Schema:
    paths: Schema = {}
    for resource in resources:
        for operation in resource.operations():
            paths.setdefault(operation.path, {})[operation.method] = operation.rendered()
    return paths


def _schemas(resources: Sequence[Resource]) -> Schema:
    found: Schema = {}
    for resource in resources:
        found |= resource.schemas()
    return {**found, "Success": closed(SUCCESS), **problems.schemas()}


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
