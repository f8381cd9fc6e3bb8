"""A rebuild in a thread of its own, so that the other views do not wait for it."""

from __future__ import annotations

import logging
import time
from threading import Thread
from typing import TYPE_CHECKING, Final

from domain.storage.failures import STORE_AWAY, kind_of
from domain.storage.locks import HeldError, LostError

if TYPE_CHECKING:
    from threading import Event

    from projections.catch_up import Projector

log = logging.getLogger("postwatch.projections")

_TELL_SECONDS: Final = 5.0
_TRY_AGAIN_SECONDS: Final = 0.5
"""Between two looks whether somebody else's rebuild is done."""


_NOT_NOW: Final[tuple[type[Exception], ...]] = (*STORE_AWAY, LostError)


class _StoppedError(Exception):
    """The process is to end; the rebuild goes on after the next start."""


class Renewal:
    """Makes one view current, however long that takes."""

    def __init__(self, projector: Projector, stop: Event) -> None:
        self._projector = projector
        self._name = projector.projection.name
        self._stop = stop
        self._told = time.monotonic()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"renewal of {self._name}")
        self._thread.start()

    def is_done(self) -> bool:
        """Return whether it has ended. Raises what it failed with."""
        if self._thread.is_alive():
            return False
        self.join()
        return True

    def join(self) -> None:
        """Wait for the end. Raises what it failed with."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._projector.renew(self._report)
                except HeldError as error:
                    self._tell(f"is being rebuilt elsewhere, {error}")
                    self._stop.wait(_TRY_AGAIN_SECONDS)
                except _NOT_NOW as error:
                    self._tell(f"cannot be rebuilt now: {kind_of(error)}")
                    self._stop.wait(_TRY_AGAIN_SECONDS)
                else:
                    return
        except _StoppedError:
            if self._projector.is_current():
                return  # The stop came when the view was in its place already.
            log.info("view %s: its rebuild goes on after the next start", self._name)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            self._error = error

    def _report(self, position: int, head: int) -> None:
        if self._stop.is_set():
            raise _StoppedError
        self._tell(f"rebuilt to position {position} of {head}")

    def _tell(self, what: str) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            log.info("view %s: %s", self._name, what)
