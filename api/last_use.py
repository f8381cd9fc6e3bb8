"""`lastUsedAt` of tokens: noted after an answer, and recorded at most once an hour."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from eventsourcing.persistence import PersistenceError

from api.seldom import SELDOM
from domain.access_token import USE_RECORDED_EVERY
from domain.clock import Clock, utc_now
from domain.storage.failures import kind_of

if TYPE_CHECKING:
    import falcon

    from domain.monitoring import Monitoring


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
                *(logging.WARNING, self, "the use of a token was not recorded: %s"), kind_of(error)
            )
