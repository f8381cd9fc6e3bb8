"""Takes the free disk space away from a running service, and gives it back.

Either the service is on a small file system that is filled up (real ENOSPC; mounting one needs
rights), or its processes may not enlarge files (RLIMIT_FSIZE), which needs no rights.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.service import Service


DISK_MIB: Final = 48
"""The logs and views with their write-ahead files need some 20 of it."""


class Room(ABC):
    """The disk space of a service. `is_of_the_disk`: other processes run out of it as well."""

    is_of_the_disk = False

    @abstractmethod
    def take(self, service: Service) -> None:
        """Leave no free space at all."""

    @abstractmethod
    def give(self, service: Service) -> None:
        """Make free space again."""


class SmallDisk(Room):
    """A file system of some MiB, filled by a file beside the data folder."""

    is_of_the_disk = True

    def __init__(self, path: Path) -> None:
        self._ballast = path / "ballast"

    def take(self, service: Service) -> None:
        """Fill the last byte."""
        del service
        descriptor = os.open(self._ballast, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        with contextlib.closing(os.fdopen(descriptor, "wb", buffering=0)):
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while os.write(descriptor, bytes(size)) == size:
                        pass

    def give(self, service: Service) -> None:
        """Remove the file."""
        del service
        self._ballast.unlink()


class SizeLimit(Room):
    """A limit on the size of files, set from outside on every process of the service."""

    def take(self, service: Service) -> None:
        """Let no process write to a file."""
        self._limit(service, 0)

    def give(self, service: Service) -> None:
        """Lift the limit."""
        self._limit(service, resource.RLIM_INFINITY)

    def _limit(self, service: Service, soft: int) -> None:
        assert service.process is not None
        for pid in family(service.process.pid):
            with contextlib.suppress(ProcessLookupError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for each in found:
        for path in Path(f"/proc/{each}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, path.read_text().split())
    return found


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Path | None]:
    """Mount a small file system on a new folder; give None where that is not allowed."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=700", "tmpfs", str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
