"""Waiting for a store that is away, because the disk is full, say: told once, and once again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from domain.storage.failures import STORE_AWAY, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("postwatch.projections")


class Patience:
    """Remembers which views cannot follow their log now."""

    def __init__(self) -> None:
        self.waiting: set[str] = set()

    def attempt(self, view: str, work: Callable[[], object]) -> bool:
        """Do some work on a view; return whether it was done. Whoever asks tries again later."""
        try:
            work()
        except STORE_AWAY as error:
            if view not in self.waiting:
                log.error("view %s does not follow its log: %s", view, kind_of(error))  # noqa: TRY400 - expected, told in one line
            self.waiting.add(view)
            return False
        if view in self.waiting:
            self.waiting.discard(view)
            log.info("view %s follows its log again", view)
        return True
