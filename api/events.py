"""GET /api/events: the audit log as a feed, oldest first, from any position on.

A page says where the next one begins. Positions are given out in order and never again,
and the view shows everything up to the position that it has reached; so whoever asks from
`next` on misses nothing and sees nothing twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import falcon

from api.event_filter import read_filter
from api.monitor_history import page
from api.paging import read_limit
from api.permissions import Action, Principal, require
from api.positions import query_position
from api.read_back import show_what_can_be_shown
from api.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.catch_up import Projector
    from projections.history_reader import EntryFilter, HistoryReader
    from projections.reader import Reader

NDJSON: Final = "application/x-ndjson"
NEXT_HEADER: Final = "X-Next-Position"
_BATCH: Final = 500
"""Entries that a stream holds in memory at a time."""


class Events:
    """The audit log of an organization, or of one customer of it."""

    def __init__(self, reader: Reader, history: HistoryReader, projector: Projector) -> None:
        self._reader = reader
        self._history = history
        self._projector = projector
        self._streams = Streams()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the entries after a position: a page, or as a stream of lines all there are."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_EVENTS)
        show_what_can_be_shown(self._projector)
        limit = read_limit(req)
        after = query_position(req, "after", head=self._projector.log.head()) or 0
        which = read_filter(req, principal, self._reader, self._history)
        # A view that cannot follow its log may lie behind what the caller has: never go back.
        reached = max(self._history.position(), after)
        as_lines = req.client_prefers((falcon.MEDIA_JSON, NDJSON)) == NDJSON
        if as_lines and not req.has_param("limit"):
            resp.set_header(NEXT_HEADER, str(reached))
            resp.content_type = NDJSON
            resp.stream = self._streams.stream(self._lines(which, after, reached))
            return
        found = self._history.entries(which, after, reached, limit + 1)
        has_more, found = len(found) > limit, found[:limit]
        following = found[-1].position if has_more else reached
        resp.set_header(NEXT_HEADER, str(following))
        if as_lines:
            resp.content_type = NDJSON
            resp.data = b"".join(each.body + b"\n" for each in found)
        else:
            more: dict[str, Any] = {"next": following, "hasMore": has_more}
            resp.data = page(found, more)

    def _lines(self, which: EntryFilter, after: int, until: int) -> Iterator[bytes]:
        while found := self._history.entries(which, after, until, _BATCH):
            yield b"".join(each.body + b"\n" for each in found)
            after = found[-1].position
