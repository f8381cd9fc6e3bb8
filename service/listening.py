"""The listening socket of the API: its address must be free, its connections time out."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gunicorn.sock import BaseSocket

    from service.settings import Settings


SEND_TIMEOUT_SECONDS: Final = 15
"""How long a client may read nothing of its answer, which occupies a thread meanwhile.

In practice a connection ends after up to three times this: each partial send restarts it.
"""


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


def set_send_timeout(
    listeners: Iterable[socket.socket | BaseSocket], seconds: int = SEND_TIMEOUT_SECONDS
) -> None:
    """End a connection when its client reads nothing for so long.

    The connections inherit the option from their listener. An answer as a whole has no time
    limit: a client that reads slowly keeps its connection.
    """
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", seconds, 0))
