"""Who calls: a bearer token becomes a principal, or the request ends with 401."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import falcon

from api.permissions import Principal
from domain.access_token import PREFIX, token_hash
from domain.clock import Clock, iso_milliseconds, utc_now

if TYPE_CHECKING:
    from api.rate_limit import RateLimit
    from projections.reader import Reader
    from projections.view import Record

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})
"""Paths that anyone may ask."""

OPEN_FOLDER: Final = "/docs/"
"""Below it everything is open: the files of the documentation's page."""

_CHALLENGE: Final = ["Bearer"]


class Authentication:
    """Falcon middleware that sets `req.context.principal`."""

    def __init__(
        self, reader: Reader, clock: Clock = utc_now, *, limit: RateLimit | None = None
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
