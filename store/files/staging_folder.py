"""Filling an empty folder with all or nothing.

Everything is made in a folder `.incoming` inside it, synced, and moved to its place at
the end, the logs last: there is no store before the logs are there. What a killed
process leaves in `.incoming` is in nobody's way, and the next one throws it away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from domain.errors import StoreError
from store.files.data_folder import make_folder, sync

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


STORE_PARTS: Final = ("proof", "keys", "logs")
"""The folders that a store is moved in as, the one last without which there is no store."""

INCOMING: Final = ".incoming"
_MOVING: Final = ".moving"
"""A file in `.incoming` that says: some of the parts may be in their place already."""

_IGNORED: Final = frozenset({INCOMING, "lost+found", "locks"})
"""What may stand in an empty folder: lock files outlive whoever held them."""


@contextmanager
def staged_folder(root: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield an empty folder; what was put into it then becomes `parts` of `root`, in order.

    Raises StoreError when `root` is not empty, cannot be written, or is being filled by
    another process. When the block fails, `root` is left as it was.
    """
    _refuse_unless_folder(root)
    is_new = not root.exists()
    try:
        make_folder(root)
        with _alone(root):
            _require_empty(root, parts)
            try:
                yield _empty(root / INCOMING)
                _move(root, parts)
            finally:
                shutil.rmtree(root / INCOMING, ignore_errors=True)
    except BaseException as error:
        if is_new:
            _remove_if_empty(root)
        if isinstance(error, OSError):
            raise StoreError(
                f"cannot write to {root}: {error.strerror}; nothing was changed there"
            ) from error
        raise


def refuse_unless_empty(root: Path, parts: Sequence[str] = STORE_PARTS) -> None:
    """Raise StoreError when a folder holds anything but empty folders."""
    _refuse_unless_folder(root)
    if root.exists():
        with _alone(root):
            _require_empty(root, parts)


def _refuse_unless_folder(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root} is not a folder")


def _require_empty(root: Path, parts: Sequence[str]) -> None:
    """Undo what was broken off, then look. Only while nobody else fills the folder."""
    _undo_broken_off(root, parts)
    for path in sorted(root.iterdir()):
        if path.name not in _IGNORED and not (path.is_dir() and not any(path.iterdir())):
            raise StoreError(
                f"{root} is not empty (there is {path.name}); name an empty folder, or one that "
                "is not there yet. Nothing was changed"
            )


def _undo_broken_off(root: Path, parts: Sequence[str]) -> None:
    """Remove parts that were moved in when a process was killed before it moved the last one."""
    last = root / parts[-1]
    is_complete = last.is_file() or (last.is_dir() and any(last.iterdir()))
    if (root / INCOMING / _MOVING).exists() and not is_complete:
        for part in parts:
            shutil.rmtree(root / part, ignore_errors=True)
        shutil.rmtree(root / INCOMING)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    descriptor = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"another process is filling {root} just now") from error
        yield
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def _move(root: Path, parts: Sequence[str]) -> None:
    incoming = root / INCOMING
    (incoming / _MOVING).touch()
    _sync(incoming)
    for part in parts:
        if (incoming / part).exists():
            (incoming / part).rename(root / part)
    sync(root)


def _sync(folder: Path) -> None:
    """Have a folder and everything in it on disk."""
    for path, _, files in os.walk(folder):
        for name in files:
            sync(Path(path) / name)
        sync(Path(path))


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
