"""The parts of a store in files: which are there, which were lost, and which are new."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from domain.errors import StoreError
from store.files import manifest
from store.files.data_folder import sync
from store.ports.engine import OLD_PARTS, PARTS

if TYPE_CHECKING:
    from pathlib import Path

    from store.files.data_folder import DataFolder


_ORDER_OF_MAKING: Final = ("keys", "monitoring", "checks")
_FIRST_ROWS: Final = {"keys": "data_keys", "monitoring": "stored_events"}


def named_parts(folder: DataFolder) -> frozenset[str]:
    """Return the parts that a store must have. Raises StoreError for a newer or damaged one."""
    named = manifest.read(folder.manifest)
    return OLD_PARTS if named is None else named


def is_begun(folder: DataFolder) -> bool:
    """Return whether there is a store, also one that lost a part.

    A first start that was killed has no manifest, and leaves files without content.
    Raises StoreError for a newer or damaged manifest.
    """
    if manifest.read(folder.manifest) is not None:
        return True
    there = [each for each in _ORDER_OF_MAKING if folder.part(each).exists()]
    if set(there) == OLD_PARTS:
        return True
    is_first_start = there == list(_ORDER_OF_MAKING[: len(there)])
    return not is_first_start or any(
        _has_rows(folder.part(each), _FIRST_ROWS[each]) for each in there
    )


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
    """Write into the manifest that the store has every part. Raises StoreError."""
    if manifest.read(folder.manifest) == frozenset(PARTS):
        return
    # The files first: the manifest must not name one that a power cut removes.
    for parent in {folder.part(each).parent for each in PARTS}:
        sync(parent)
    manifest.write(folder.manifest, PARTS)


def _has_rows(path: Path, table: str) -> bool:
    """Return whether a table has rows; a file that cannot be read counts as one that has."""
    if not path.stat().st_size:
        return False
    try:
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as connection:
            tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,))
            if tables.fetchone() is None:
                return False
            statement = f"SELECT 1 FROM {table} LIMIT 1"  # noqa: S608 - a constant, not input
            return connection.execute(statement).fetchone() is not None
    except sqlite3.Error:
        return True
