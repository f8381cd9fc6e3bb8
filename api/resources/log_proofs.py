"""Proofs about whole logs: signed heads, inclusion, consistency (docs/proof.md).

A log holds the events of all organizations, so the answers show hashes only, and only to
callers who may know about the whole installation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import falcon

from api.http.execution import Cost
from api.http.operation import costs
from api.http.parameters import whole_number
from api.http.permissions import Action, Principal, require
from store.proof.merkle import NotInTreeError
from store.proving import log_proof

if TYPE_CHECKING:
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
        raise falcon.HTTPBadRequest(description=f"Missing {name}: a whole number from 1")
    return number


def _number(req: falcon.Request, name: str) -> int | None:
    text = req.get_param(name)
    if text is None:
        return None
    number = whole_number(text)
    if not number:
        raise falcon.HTTPBadRequest(description=f"Invalid {name}: must be a whole number from 1")
    return number
