"""Authentication by bearer token, and the record of when a token was last used.

A valid token becomes the principal of the request; otherwise the request ends with 401.
After the answer the use of the token is recorded, at most once an hour for each token.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import falcon
from eventsourcing.persistence import PersistenceError

from api.http.execution import Cost, Execution
from api.http.log_throttle import LOG_THROTTLE
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
    """Check of admission that sets `req.context.principal`."""

    def __init__(
        self, reader: MonitorReader, clock: Clock = utc_now, *, limit: RateLimit | None = None
    ) -> None:
        self._reader = reader
        self._limit = limit
        self._clock = clock

    def check(self, req: falcon.Request, resp: falcon.Response) -> None:
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
            expires_at=record["expires_at"],
        )

    def _is_valid(self, record: Record) -> bool:
        expires_at = record["expires_at"]
        expired = expires_at is not None and expires_at <= iso_milliseconds(self._clock())
        return record["revoked_at"] is None and not expired


def _unauthorized(description: str) -> falcon.HTTPUnauthorized:
    return falcon.HTTPUnauthorized(description=description, challenges=_CHALLENGE)


class LastUse:
    """Falcon middleware that records the use of a token, at most once an hour.

    `last_used_at` comes from the view, which may be behind, so each process also remembers when
    the next use is due. A use that cannot be recorded does not fail the request.
    """

    def __init__(
        self, monitoring: Monitoring, execution: Execution, clock: Clock = utc_now
    ) -> None:
        self._monitoring = monitoring
        self._execution = execution
        self._clock = clock
        self._next_record: dict[str, datetime] = {}
        """By token id: a use before this time is not recorded."""

    async def process_response(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - the signature is the framework's
    ) -> None:
        """Record the use of the request's token if one is due."""
        principal: Principal | None = getattr(req.context, "principal", None)
        if principal is None:
            return
        now = self._clock()
        if now >= self._due_at(principal, now):
            # Before it is recorded: requests meanwhile must not record it, too.
            self._next_record[principal.token_id] = now + USE_RECORDED_EVERY
            request_id, tenant = req.context.request_id, principal.organization_id
            try:
                await self._execution.run(
                    Cost.WRITE, tenant, lambda: self._record(principal, request_id)
                )
            except falcon.HTTPServiceUnavailable:
                self._next_record.pop(principal.token_id, None)

    def _due_at(self, principal: Principal, now: datetime) -> datetime:
        """Return when the next use of a token is to be recorded."""
        due_at = self._next_record.get(principal.token_id, now)
        if due_at <= now and principal.last_used_at is not None:
            due_at = datetime.fromisoformat(principal.last_used_at) + USE_RECORDED_EVERY
            self._next_record[principal.token_id] = due_at
        return due_at

    def _record(self, principal: Principal, request_id: str) -> None:
        token_id, actor = UUID(principal.token_id), principal.actor(request_id)
        try:
            self._monitoring.use_token(token_id, actor)
        except PersistenceError as error:
            message = "the use of a token was not recorded: %s"
            LOG_THROTTLE.log(logging.WARNING, self, message, outage_reason(error))
            self._next_record.pop(principal.token_id, None)
