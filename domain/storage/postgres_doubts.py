"""Which streams of a log may lack events that this process knows of.

A connection that breaks may lead to another server next, and that one may never have had
the newest events. So whatever is appended to a stream after a loss must find the version
before it there. Once is enough: what was found, or appended since, is on this server.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MOST: Final = 1_000_000
"""How many streams are remembered. Each is some 150 bytes."""


class Doubts(NamedTuple):
    """What must be found before something is appended, and after how many losses it was said."""

    versions_before: Mapping[str, int]
    losses: int


class StreamsInDoubt:
    """All streams after a loss, but those that were appended to since."""

    def __init__(self, losses: Callable[[], int]) -> None:
        """Take what counts how many times a connection broke."""
        self._count_losses = losses
        self._lock = Lock()
        self._losses = 0
        self._certain: set[str] = set()

    def among(self, streams: Sequence[str], versions: Sequence[int]) -> Doubts:
        """Return by stream the version that must be there before these come, where in doubt."""
        losses = self._count_losses()
        if losses == 0:
            return Doubts({}, losses)
        with self._lock:
            if losses > self._losses:
                self._losses = losses
                self._certain.clear()
            doubtful = set(streams) - self._certain
        return Doubts(_versions_before(doubtful, streams, versions), losses)

    def clear_up(self, doubts: Doubts) -> None:
        """Remember that what was asked for was found, and that more came behind it."""
        if not doubts.versions_before:
            return
        with self._lock:
            # Whoever lost a connection meanwhile may have met another server than we did.
            if doubts.losses != self._losses:
                return
            if len(self._certain) >= _MOST:
                self._certain.clear()
            self._certain.update(doubts.versions_before)


def _versions_before(
    doubtful: set[str], streams: Sequence[str], versions: Sequence[int]
) -> dict[str, int]:
    if not doubtful:
        return {}
    first: dict[str, int] = {}
    for stream, version in zip(streams, versions, strict=True):
        if stream in doubtful:
            first[stream] = min(version, first.get(stream, version))
    return {stream: version - 1 for stream, version in first.items() if version > 1}
