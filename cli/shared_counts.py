"""Where the workers of the API keep the counts that they share, for Prometheus."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

    from domain.storage.data_folder import DataFolder

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
