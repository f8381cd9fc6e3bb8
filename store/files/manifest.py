"""The manifest of a data folder: which parts its store has, and the version of their format.

With it a lost file is told from a store that never had it. The file is replaced as a whole,
and is on disk when `write` returns.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any, Final

import orjson

from domain.errors import StoreError
from store.files.data_folder import sync
from store.ports.engine import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


FORMAT: Final = "postwatch-store"
VERSION: Final = 1


def described(parts: Iterable[str]) -> dict[str, Any]:
    """Return the manifest of a store with these parts, as it is stored."""
    return {"format": FORMAT, "version": VERSION, "parts": sorted(parts)}


def parts_of(found: object, place: Path) -> frozenset[str]:
    """Return the parts that a stored manifest names; `place` is its file.

    Raises StoreError when it is damaged, or names what only a newer version knows.
    """
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _damaged(place)
    version, parts = found.get("version"), found.get("parts")
    if type(version) is not int:
        raise _damaged(place)
    if version > VERSION:
        raise StoreError(
            f"the store has the format {version} ({place}), this Postwatch knows up to format "
            f"{VERSION}; install the version that wrote it, or a newer one"
        )
    if not isinstance(parts, list) or not all(isinstance(each, str) for each in parts):
        raise _damaged(place)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise StoreError(
            f"the store has a part that this Postwatch does not know: {unknown[0]} ({place}); "
            "install the version that wrote it, or a newer one"
        )
    return frozenset(parts)


def read(path: Path) -> frozenset[str] | None:
    """Return the parts that a manifest names; None when there is none. Raises StoreError."""
    try:
        found = orjson.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise _damaged(path) from error
    return parts_of(found, path)


def write(path: Path, parts: Iterable[str]) -> None:
    """Write a manifest, atomically and durably. Raises StoreError."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps(described(parts), option=orjson.OPT_INDENT_2) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def _damaged(path: Path) -> StoreError:
    return StoreError(f"the manifest of the store is damaged: {path}; restore a backup")
