"""Staging: an empty folder gets all of its parts, or none.

The parts are made in a subfolder `.incoming`, synced, and moved to their places at the end,
the logs last: without the logs there is no store. What a killed process leaves in
`.incoming` does no harm, and the next process deletes it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from domain.errors import StoreError
from store.files.data_folder import make_folder, sync
from store.files.file_locks import lock_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


STORE_PARTS: Final = ("manifest.json", "proof", "keys", "logs")
"""The manifest and folders of a store, in the order of their moves; the last makes it a store."""

INCOMING: Final = ".incoming"
_MOVING: Final = ".moving"
"""A file in `.incoming`. While it exists, some parts may be in their places already."""

_IGNORED: Final = frozenset({INCOMING, "lost+found", "locks"})
"""What an empty folder may contain: lock files outlive the processes that held them."""


@contextmanager
def staged_folder(root: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield an empty staging folder; its `parts` are moved to `root`, in order, at the end.

    Raises StoreError when `root` is not empty, cannot be written, or another process is
    filling it. When the block fails, `root` is left as it was.
    """
    _refuse_unless_folder(root)
    is_new = not root.exists()
    try:
        make_folder(root)
        with _locked(root):
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
        with _locked(root):
            _require_empty(root, parts)


def _refuse_unless_folder(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root} is not a folder")


def _require_empty(root: Path, parts: Sequence[str]) -> None:
    """Undo an interrupted move, then require an empty folder. The caller holds its lock."""
    _undo_broken_move(root, parts)
    for path in sorted(root.iterdir()):
        if path.name not in _IGNORED and not (path.is_dir() and not any(path.iterdir())):
            raise StoreError(
                f"{root} is not empty (there is {path.name}); name an empty folder, or one that "
                "is not there yet. Nothing was changed"
            )


def _undo_broken_move(root: Path, parts: Sequence[str]) -> None:
    """Remove the parts that a process moved before it was killed, unless it moved the last one."""
    last = root / parts[-1]
    is_complete = last.is_file() or (last.is_dir() and any(last.iterdir()))
    if (root / INCOMING / _MOVING).exists() and not is_complete:
        for part in parts:
            if (root / part).is_dir():
                shutil.rmtree(root / part, ignore_errors=True)
            else:
                (root / part).unlink(missing_ok=True)
        shutil.rmtree(root / INCOMING)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    descriptor = os.open(root, os.O_RDONLY)
    try:
        if not lock_file(descriptor):
            raise StoreError(f"another process is filling {root} just now")
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
    """Write a folder and everything in it to disk."""
    for path, _, files in os.walk(folder):
        for name in files:
            sync(Path(path) / name)
        sync(Path(path))


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
