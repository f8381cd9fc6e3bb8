"""Proofs about whole logs: signed heads, inclusion, consistency (docs/proof.md).

A log holds the events of all organizations, so the answers show hashes only, and only to
callers who may know about the whole installation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api.http.errors import InvalidParameterError
from api.http.execution import Cost
from api.http.operation import costs
from api.http.parameters import whole_number
from api.http.permissions import Action, Principal, require
from api.openapi.operations import DocumentedOperation, json_answer, path_parameter, query
from api.openapi.resource import Resource, Route, Tag
from api.openapi.vocabulary import TIME, closed, described, ref
from store.ports.engine import LOGS
from store.proof.merkle import NotInTreeError
from store.proving import log_proof

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon

    from api.http.fields import Schema
    from api.resources.parts import Parts
    from store.proof.log_proof import LogProof
    from store.store import Store


class LogProofs:
    """The proofs of a store's logs, from the trees that the projections process grows and signs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @costs(Cost.COSTLY_READ)
    def on_get_head(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Show the newest signed head."""
        head = self._proof(req, name).newest_head()
        if head is None:
            raise NotInTreeError(f"the log {name} has no signed head yet")
        resp.media = head.as_json()

    @costs(Cost.COSTLY_READ)
    def on_get_inclusion(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Prove that the event at a position is in the tree of the newest signed head."""
        proof = self._proof(req, name)
        resp.media = proof.inclusion(_required(req, "position")).as_json()

    @costs(Cost.COSTLY_READ)
    def on_get_consistency(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Prove that a log only grew between two sizes."""
        proof = self._proof(req, name)
        resp.media = proof.consistency(_required(req, "first"), _number(req, "second"))

    def _proof(self, req: falcon.Request, name: str) -> LogProof:
        principal: Principal = req.context.principal
        require(principal, Action.READ_LOG_PROOFS)
        return log_proof(self._store, name)


def _required(req: falcon.Request, name: str) -> int:
    number = _number(req, name)
    if number is None:
        raise InvalidParameterError(
            name, "is required", code="required", text=f"Missing {name}: a whole number from 1"
        )
    return number


def _number(req: falcon.Request, name: str) -> int | None:
    text = req.get_param(name)
    if text is None:
        return None
    number = whole_number(text)
    if not number:
        raise InvalidParameterError(name, "must be a whole number from 1")
    return number


TAG: Final = Tag("Proofs", "That a log was not changed: docs/proof.md says how to check them.")
_SIZE: Final[Schema] = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
_NAME: Final[Schema] = {"type": "string", "enum": list(LOGS)}
_LOG: Final = path_parameter("name", _NAME, "Which log.")
_INDEX: Final[Schema] = {"type": "integer", "minimum": 0, "description": "From 0, without gaps."}


def _schemas() -> Schema:
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


def _operations() -> Iterator[DocumentedOperation]:
    common: dict[str, Any] = {"method": "get", "tag": TAG.name, "errors": (400, 403, 404)}
    yield DocumentedOperation(
        path="/api/logs/{name}/head",
        name="getTreeHead",
        summary="Show the newest signed tree head of a log",
        description="Kept elsewhere, it shows later whether anything before it was changed.",
        parameters=(_LOG,),
        answers={200: json_answer("The head", "TreeHead")},
        **{**common, "errors": (403, 404)},
    )
    yield DocumentedOperation(
        path="/api/logs/{name}/inclusion",
        name="getInclusionProof",
        summary="Prove that an event is in a log",
        description="404 until a signed head covers the position.",
        parameters=(_LOG, _needed("position", "The event's position.")),
        answers={200: json_answer("RFC 9162, section 2.1.3", "InclusionProof")},
        **common,
    )
    yield DocumentedOperation(
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


def _routes(parts: Parts) -> Iterator[Route]:
    proofs = LogProofs(parts.store)
    for what in ("head", "inclusion", "consistency"):
        yield Route(f"/api/logs/{{name}}/{what}", proofs, what)


RESOURCE: Final = Resource(tags=(TAG,), routes=_routes, operations=_operations, schemas=_schemas)
