"""The address of the API: that it is free, and that no client holds a connection for ever."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

from cli.exit_codes import ExitCode
from cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gunicorn.sock import BaseSocket

    from cli.settings import Settings

STALLED_SECONDS: Final = 15
"""How long a client may take nothing of its answer, which holds a thread meanwhile.

It was seen to take up to thrice that: what could be sent in part begins anew.
"""


def refuse_address_in_use(settings: Settings) -> None:
    """Raise CommandError when something listens on the API's address already.

    Workers share the port by SO_REUSEPORT, which would also let a second service of the
    same user in, unseen; a bind without that option tells.
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
            "another host:port, or stop what listens there",
        ) from error


def let_go_of_stalled(
    listeners: Iterable[socket.socket | BaseSocket], seconds: int = STALLED_SECONDS
) -> None:
    """Let sending fail on each connection to a listener when its client takes nothing so long.

    Connections inherit it. It is no limit for an answer as a whole: slow is not stalled.
    """
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", seconds, 0))
