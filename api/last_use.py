"""`lastUsedAt` of tokens: noted after an answer, and recorded at most once an hour."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from eventsourcing.persistence import PersistenceError

from domain.access_token import USE_RECORDED_EVERY
from domain.clock import Clock, iso_milliseconds, utc_now

if TYPE_CHECKING:
    import falcon

    from domain.monitoring import Monitoring

log = logging.getLogger("postwatch.api")


class LastUse:
    """Falcon middleware. A store that cannot record a use does not spoil the answer."""

    def __init__(self, monitoring: Monitoring, clock: Clock = utc_now) -> None:
        self._monitoring = monitoring
        self._clock = clock

    def process_response(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - the signature is the framework's
    ) -> None:
        """Record the use unless the view shows one within the hour."""
        principal = getattr(req.context, "principal", None)
        if principal is None:
            return
        stale = iso_milliseconds(self._clock() - USE_RECORDED_EVERY)
        if principal.last_used_at is not None and principal.last_used_at > stale:
            return
        try:
            self._monitoring.use_token(
                UUID(principal.token_id), principal.actor(req.context.request_id)
            )
        except PersistenceError as error:
            log.warning("the use of a token was not recorded: %s", type(error).__name__)
