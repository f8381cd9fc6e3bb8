"""Refuses to change anything while nobody could read the change afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import falcon

    from projections.catch_up import Projector
    from projections.reader import Reader

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class ViewGuard:
    """Falcon middleware. While a view is being made anew, reads go on as far as they can."""

    def __init__(self, projector: Projector, reader: Reader) -> None:
        self._projector = projector
        self._reader = reader

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Raise ViewAwayError before anything is recorded, so that a client may repeat."""
        if req.method not in _READING:
            self._projector.require_current()
            self._reader.require_readable()
