"""The endpoints that prove that a log was not changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.openapi.operations import Operation, json_answer, path_parameter, query
from api.openapi.vocabulary import TIME, closed, described, ref
from store.ports.engine import LOGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.http.fields import Schema


TAG: Final = "Proofs"
_SIZE: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
_NAME: Final[Schema] = {"type": "string", "enum": list(LOGS)}
_LOG: Final = path_parameter("name", _NAME, "Which log.")
_INDEX: Final[Schema] = {"type": "integer", "minimum": 0, "description": "From 0, without gaps."}


def components() -> Schema:
    """Return the schemas of this family."""
    path = {"type": "array", "items": _hexadecimal(64, "A hash."), "description": "Lowest first."}
    head = {
        "log": _NAME,
        "size": described(_SIZE, "How many events the tree has."),
        "position": described(_SIZE, "Position of the last one."),
        "time": TIME,
        "rootHash": _hexadecimal(64, "SHA-256 in hexadecimal."),
        "keyId": _hexadecimal(16, "The first digits of the SHA-256 of the public key."),
        "signature": _hexadecimal(128, "Ed25519 in hexadecimal."),
    }
    inclusion = {
        "log": _NAME,
        "position": _SIZE,
        "leafIndex": _INDEX,
        "leafHash": _hexadecimal(64, "SHA-256 of the byte 00 and the leaf."),
        "path": path,
        "head": ref("TreeHead"),
    }
    consistency = {
        "log": _NAME,
        "firstSize": _SIZE,
        "firstRootHash": _hexadecimal(64, "The root over `firstSize` events."),
        "secondSize": _SIZE,
        "secondRootHash": _hexadecimal(64, "The root over `secondSize` events."),
        "path": path,
    }
    return {
        "TreeHead": closed(head),
        "InclusionProof": closed(inclusion),
        "ConsistencyProof": closed(consistency),
    }


def operations() -> Iterator[Operation]:
    """Return the endpoints."""
    common: dict[str, Any] = {"method": "get", "tag": TAG, "errors": (400, 403, 404)}
    yield Operation(
        path="/api/logs/{name}/head",
        name="getTreeHead",
        summary="Show the newest signed tree head of a log",
        description="Kept elsewhere, it shows later whether anything before it was changed.",
        parameters=(_LOG,),
        answers={200: json_answer("The head", "TreeHead")},
        **{**common, "errors": (403, 404)},
    )
    yield Operation(
        path="/api/logs/{name}/inclusion",
        name="getInclusionProof",
        summary="Prove that an event is in a log",
        description="404 until a signed head covers the position.",
        parameters=(_LOG, _needed("position", "The event's position.")),
        answers={200: json_answer("RFC 9162, section 2.1.3", "InclusionProof")},
        **common,
    )
    yield Operation(
        path="/api/logs/{name}/consistency",
        name="getConsistencyProof",
        summary="Prove that a log only grew",
        parameters=(
            _LOG,
            _needed("first", "The size of an earlier head."),
            query("second", _SIZE, "The size of a later one; the newest signed head's if absent."),
        ),
        answers={200: json_answer("RFC 9162, section 2.1.4", "ConsistencyProof")},
        **common,
    )


def _needed(name: str, description: str) -> Schema:
    return {**query(name, _SIZE, description), "required": True}


def _hexadecimal(digits: int, description: str) -> Schema:
    pattern = f"^[0-9a-f]{{{digits}}}$"
    return {"type": "string", "pattern": pattern, "description": description}
