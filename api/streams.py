"""Answers that are streams: few at a time, so that slow readers leave threads to others."""

from __future__ import annotations

import weakref
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Final, Self

import falcon

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST: Final = 2
"""Streams that a worker process writes at a time; it has twice as many threads or more."""

_RETRY_SECONDS: Final = 5


class Streams:
    """Hands out streams. Each takes a thread for as long as its reader takes."""

    def __init__(self, most: int = MOST) -> None:
        self._free = BoundedSemaphore(most)

    def stream(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Return a stream of pieces. Raises 503 when too many are being read."""
        if not self._free.acquire(blocking=False):
            raise falcon.HTTPServiceUnavailable(
                description="Too many streams are being read; try again later, or ask for pages",
                retry_after=_RETRY_SECONDS,
            )
        return _Stream(pieces, self._free)


class _Stream:
    """Pieces; `close`, which the server calls whatever happens, makes room for another one."""

    def __init__(self, pieces: Iterator[bytes], room: BoundedSemaphore) -> None:
        self._pieces = pieces
        # Also when an answer never comes to be sent.
        self.close = weakref.finalize(self, room.release)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)
