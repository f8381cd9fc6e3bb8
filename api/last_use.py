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
        self._noted: dict[str, str] = {}

    def process_response(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - the signature is the framework's
    ) -> None:
        """Record the use unless one within the hour is known.

        The view may be behind, so this process also remembers when it last asked the log.
        """
        principal = getattr(req.context, "principal", None)
        if principal is None:
            return
        now = self._clock()
        stale = iso_milliseconds(now - USE_RECORDED_EVERY)
        known = max(principal.last_used_at or "", self._noted.get(principal.token_id, ""))
        if known > stale:
            return
        try:
            self._monitoring.use_token(
                UUID(principal.token_id), principal.actor(req.context.request_id)
            )
            self._noted[principal.token_id] = iso_milliseconds(now)
        except PersistenceError as error:
            log.warning("the use of a token was not recorded: %s", type(error).__name__)
