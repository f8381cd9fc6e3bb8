"""The address of the API: that it is free, and that no client holds a connection for ever.

Where the workers of the API keep the counts that they share, for Prometheus.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gunicorn.arbiter import Arbiter
    from gunicorn.sock import BaseSocket
    from gunicorn.workers.base import Worker

    from service.settings import Settings
    from store.files.data_folder import DataFolder


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


SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - heartbeats and counts, no wait for a disk


def share_counts(folder: DataFolder) -> None:
    """Give the workers an empty folder for the counts that they share.

    In shared memory where there is such a thing: workers write to these files by mapping
    them, and on a disk that is full that ends a process (SIGBUS).
    """
    shutil.rmtree(folder.metrics, ignore_errors=True)
    path = _in_shared_memory(folder)
    if path is None:
        path = folder.metrics
        folder.make(path)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(path)


def _in_shared_memory(folder: DataFolder) -> Path | None:
    """Return an empty folder of ours that goes with a data folder; None if there can be none."""
    name = hashlib.sha256(str(folder.root.resolve()).encode()).hexdigest()[:16]
    path = SHARED_MEMORY / f"postwatch-{os.getuid()}-{name}"
    try:
        if path.is_symlink() or (path.exists() and path.stat().st_uid != os.getuid()):
            return None
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
    except OSError:
        return None
    return path


def forget_worker(_arbiter: Arbiter, worker: Worker) -> None:
    """Drop what only a living worker counts; its sums stay."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - as above

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # has no types


def forget_counts(_arbiter: Arbiter) -> None:
    """Remove the folder."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
