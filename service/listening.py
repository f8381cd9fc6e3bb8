"""The listening socket of the API: its address must be free."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from service.settings import Settings


_WAIT_SECONDS: Final = 3.0
"""Workers whose arbiter was killed notice it within a second."""

_RETRY_SECONDS: Final = 0.1


def refuse_address_in_use(settings: Settings, wait_seconds: float = _WAIT_SECONDS) -> None:
    """Raise CommandError when another process listens on the API's address.

    Waits for one that is just ending: after a crash of the whole service its workers outlive
    it for a moment.
    """
    deadline = time.monotonic() + wait_seconds
    while (why := _refusal(settings)) is not None:
        if time.monotonic() > deadline:
            raise CommandError(
                ExitCode.ADDRESS_IN_USE,
                f"cannot listen on {settings.bind}: {why.strerror}; set POSTWATCH_BIND to "
                "another host:port, or stop the process that listens there",
            ) from why
        time.sleep(_RETRY_SECONDS)


def _refusal(settings: Settings) -> OSError | None:
    """Return why nobody could listen on the address now.

    Workers share the port by SO_REUSEPORT. That option would also let a second service of
    the same user bind it unnoticed, so this trial bind goes without it.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((settings.host, settings.port))
    except OSError as error:
        return error
    return None
