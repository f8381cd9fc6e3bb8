"""Signed tree heads in a text file: one JSON object a line, only ever appended to.

A line counts when it ends with a newline. A partial line that a power cut left was never
acknowledged; the next append removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import orjson
from typing_extensions import override

from store.files.data_folder import make_folder, sync
from store.proof.tree_heads import HeadStore, TreeHead, parse_head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_LINE_BYTES: Final = 512
"""More bytes than the line of any head."""


class HeadFile(HeadStore):
    """The heads of one log."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.place = str(path)

    @override
    def lines(self) -> Iterator[tuple[int, bytes]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield number, line

    @override
    def newest(self, count: int) -> list[TreeHead]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            return _newest(file.fileno(), count)

    @override
    def append(self, head: TreeHead) -> bool:
        with self._locked() as descriptor:
            last = _newest(descriptor, 1)
            if last and last[0].size >= head.size:
                return False
            end = os.fstat(descriptor).st_size
            tail = os.pread(descriptor, _LINE_BYTES, max(end - _LINE_BYTES, 0))
            torn = len(tail) - (tail.rfind(b"\n") + 1)
            if torn:
                os.ftruncate(descriptor, end - torn)
            line = orjson.dumps(head.as_json()) + b"\n"
            if os.write(descriptor, line) < len(line):
                # The next append removes the partial line.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(descriptor)
            return True

    @contextmanager
    def _locked(self) -> Iterator[int]:
        make_folder(self._path.parent)
        is_new = not self._path.exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
        descriptor = os.open(self._path, flags, 0o600)
        if is_new:
            sync(self._path.parent)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def _newest(descriptor: int, count: int) -> list[TreeHead]:
    end = os.fstat(descriptor).st_size
    start = max(end - (count + 1) * _LINE_BYTES, 0)
    lines = os.pread(descriptor, end - start, start).split(b"\n")
    # The last element follows the last newline; the first one may be a partial line.
    whole = lines[:-1] if start == 0 else lines[1:-1]
    return [parse_head(line) for line in reversed(whole[-count:])]
