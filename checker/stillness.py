"""Who of the other checkers has stopped beating: frozen, or cut off with its host.

Pure: time is an argument. No clocks are compared: a checker is still when we looked again
and again, for long enough, and it said nothing new. Whoever did not look himself for a
while, because he was frozen or the database did not answer, has seen nothing and begins anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.storage.leases import Session

STILL_SECONDS: Final = 5.0
"""How long a checker may say nothing until its session is ended."""

ATTENTION_SECONDS: Final = 2.5
"""Who looks more seldom than this cannot say what happened between."""


class Stillness:
    """Remembers since when each of the others has said nothing new."""

    def __init__(self) -> None:
        self._looked = float("-inf")
        self._since: dict[int, tuple[int, float]] = {}

    def still(self, others: Iterable[Session], now: float) -> list[Session]:
        """Take in a look at the others; return those that are still for too long."""
        is_attentive = now - self._looked <= ATTENTION_SECONDS
        before = self._since if is_attentive else {}
        self._looked = now
        self._since = {}
        found = []
        for each in others:
            if not each.is_member and each.beat is None:
                continue  # no checker: nobody expects it to say anything
            beats, since = before.get(each.number, (each.beats, now))
            since = since if beats == each.beats else now
            self._since[each.number] = (each.beats, since)
            if now - since >= STILL_SECONDS:
                found.append(each)
        return found
