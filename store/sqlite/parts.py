"""The parts of a store in files: which are there, which were lost, and which are new."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from domain.errors import StoreError
from store.files import manifest
from store.files.data_folder import sync
from store.ports.engine import OLD_PARTS, PARTS

if TYPE_CHECKING:
    from pathlib import Path

    from store.files.data_folder import DataFolder


def named_parts(folder: DataFolder) -> frozenset[str]:
    """Return the parts that a store must have. Raises StoreError for a newer or damaged one."""
    named = manifest.read(folder.manifest)
    return OLD_PARTS if named is None else named


def is_begun(folder: DataFolder) -> bool:
    """Return whether there is a store, also one that lost a part.

    Raises StoreError for a newer or damaged manifest.
    """
    named = manifest.read(folder.manifest)
    if named is None:
        return any(folder.part(each).exists() for each in OLD_PARTS)
    return bool(named)


def note_beginning(folder: DataFolder) -> None:
    """Write a manifest without parts: what a first start leaves when it is killed is no loss."""
    if manifest.read(folder.manifest) is None:
        manifest.write(folder.manifest, ())


def require_parts(folder: DataFolder) -> None:
    """Raise StoreError when a part of the store was lost."""
    for part in sorted(named_parts(folder)):
        path = folder.part(part)
        # SQLite makes an empty file of the name when it opens one that is missing.
        # After a power cut all of its pages may still be in the write-ahead log.
        log = path.with_name(f"{path.name}-wal")
        in_log = log.is_file() and log.stat().st_size
        if not path.is_file() or not (path.stat().st_size or in_log):
            raise StoreError(
                f"the store lost its part {part}: {path} is missing or empty; put the file back, "
                "or restore a backup into an empty folder with `postwatch restore`. "
                "Nothing was changed"
            )


def note_parts(folder: DataFolder) -> None:
    """Write into the manifest that the store has every part. Raises StoreError.

    While another process uses a new file, nothing is written: the next start does it.
    """
    if manifest.read(folder.manifest) == frozenset(PARTS):
        return
    # The files first: the manifest must not name one that a power cut removes or empties.
    for parent in {folder.part(each).parent for each in PARTS}:
        sync(parent)
    if all(_is_on_disk(folder.part(each)) for each in PARTS):
        manifest.write(folder.manifest, PARTS)


def _is_on_disk(path: Path) -> bool:
    """Bring what SQLite wrote into the file itself, and sync it; return whether that was done.

    Not by a descriptor of our own: closing it would drop the locks that SQLite holds on the file.
    """
    with closing(sqlite3.connect(path)) as connection:
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy
