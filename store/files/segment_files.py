"""Segments as files of a folder: written once, durably, and never changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from domain.errors import ArchiveError
from store.files.data_folder import sync
from store.ports.engine import SegmentStore

if TYPE_CHECKING:
    from pathlib import Path


_DIGITS: Final = 12
_WRITING: Final = ".writing"


class SegmentFiles(SegmentStore):
    """The segments in a folder, which is made with the first one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, first: int, last: int) -> Path:
        """Return the path of the segment of these positions; names sort like positions."""
        return self.folder / f"{first:0{_DIGITS}}-{last:0{_DIGITS}}.segment"

    @override
    def place(self, first: int, last: int) -> str:
        return str(self.path(first, last))

    @override
    def write(self, first: int, last: int, data: bytes) -> None:
        path = self.path(first, last)
        try:
            self._write(path, data)
        except OSError as error:
            self.remove_unfinished()
            raise ArchiveError(
                f"cannot write {path}: {error.strerror}; its checks stay in the log"
            ) from error

    def _write(self, path: Path, data: bytes) -> None:
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            sync(self.folder.parent)
        beside = path.with_suffix(_WRITING)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
        sync(self.folder)

    @override
    def read(self, first: int, last: int) -> bytes:
        try:
            return self.path(first, last).read_bytes()
        except FileNotFoundError:
            raise ArchiveError("it is missing; put it back from a backup") from None
        except OSError as error:
            raise ArchiveError(f"it cannot be read: {error.strerror}") from error

    @override
    def size_of(self, first: int, last: int) -> int | None:
        path = self.path(first, last)
        return path.stat().st_size if path.exists() else None

    @override
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("*.segment"))

    @override
    def remove_unfinished(self) -> None:
        for path in self.folder.glob(f"*{_WRITING}"):
            path.unlink(missing_ok=True)
