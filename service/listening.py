"""The listening socket of the API: its address must be free."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from service.settings import Settings


def refuse_address_in_use(settings: Settings) -> None:
    """Raise CommandError when another process listens on the API's address.

    Workers share the port by SO_REUSEPORT. That option would also let a second service of
    the same user bind it unnoticed, so this trial bind goes without it.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((settings.host, settings.port))
    except OSError as error:
        raise CommandError(
            ExitCode.ADDRESS_IN_USE,
            f"cannot listen on {settings.bind}: {error.strerror}; set POSTWATCH_BIND to "
            "another host:port, or stop the process that listens there",
        ) from error
