"""Who calls: a bearer token becomes a principal, or the request ends with 401.

`lastUsedAt` of tokens: noted after an answer, and recorded at most once an hour.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import falcon
from eventsourcing.persistence import PersistenceError

from api.http.log_throttle import SELDOM
from api.http.permissions import Principal
from domain.access_token import PREFIX, USE_RECORDED_EVERY, token_hash
from domain.clock import Clock, iso_milliseconds, utc_now
from store.ports.errors import outage_reason

if TYPE_CHECKING:
    from api.http.rate_limit import RateLimit
    from domain.monitoring import Monitoring
    from projections.core.table import Record
    from projections.readers.monitors import MonitorReader


OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})
"""Paths that anyone may ask."""

OPEN_FOLDER: Final = "/docs/"
"""Below it everything is open: the files of the documentation's page."""

_CHALLENGE: Final = ["Bearer"]


class Authentication:
    """Falcon middleware that sets `req.context.principal`."""

    def __init__(
        self, reader: MonitorReader, clock: Clock = utc_now, *, limit: RateLimit | None = None
    ) -> None:
        self._reader = reader
        self._limit = limit
        self._clock = clock

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Refuse a request without a valid token; a browser's preflight bears none."""
        open_path = req.path in OPEN_PATHS or req.path.startswith(OPEN_FOLDER)
        if open_path or req.method == "OPTIONS":
            return
        try:
            req.context.principal = self._principal(req.get_header("Authorization"))
        except falcon.HTTPUnauthorized:
            if self._limit is not None:
                self._limit.refuse_stranger(req, resp)
            raise

    def _principal(self, header: str | None) -> Principal:
        scheme, _, token = (header or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token.startswith(PREFIX) or not token.isascii():
            raise _unauthorized("Send the header Authorization: Bearer wsm_...")
        record = self._reader.token(token_hash(token))
        if record is None or not self._is_valid(record):
            raise _unauthorized("The token is unknown, expired or revoked")
        return Principal(
            token_id=record["public_id"],
            name=record["name"],
            role=record["role"],
            organization_id=record["organization_id"],
            customer_id=record["customer_id"],
            last_used_at=record["last_used_at"],
        )

    def _is_valid(self, record: Record) -> bool:
        expires_at = record["expires_at"]
        expired = expires_at is not None and expires_at <= iso_milliseconds(self._clock())
        return record["revoked_at"] is None and not expired


def _unauthorized(description: str) -> falcon.HTTPUnauthorized:
    return falcon.HTTPUnauthorized(description=description, challenges=_CHALLENGE)


class LastUse:
    """Falcon middleware. A store that cannot record a use does not spoil the answer."""

    def __init__(self, monitoring: Monitoring, clock: Clock = utc_now) -> None:
        self._monitoring = monitoring
        self._clock = clock
        self._next_note: dict[str, datetime] = {}

    def process_response(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - the signature is the framework's
    ) -> None:
        """Record the use unless one within the hour is known.

        The view may be behind, so this process also remembers until when it need not ask.
        """
        principal = getattr(req.context, "principal", None)
        if principal is None:
            return
        now = self._clock()
        next_note = self._next_note.get(principal.token_id)
        if next_note is not None and now < next_note:
            return
        if principal.last_used_at is not None:
            next_note = datetime.fromisoformat(principal.last_used_at) + USE_RECORDED_EVERY
            if now < next_note:
                self._next_note[principal.token_id] = next_note
                return
        try:
            self._monitoring.use_token(
                UUID(principal.token_id), principal.actor(req.context.request_id)
            )
            self._next_note[principal.token_id] = now + USE_RECORDED_EVERY
        except PersistenceError as error:
            SELDOM.tell(
                *(logging.WARNING, self, "the use of a token was not recorded: %s"),
                outage_reason(error),
            )
