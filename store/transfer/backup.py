"""Backups: copies of the logs, wrapped keys, trees and signed heads, as of one moment.

The copies begin while the key store is locked, so no copied event refers to a key that the
backup lacks. Views are not copied: they are rebuilt from the logs. The master key is copied
on request only.
"""

from __future__ import annotations

import shutil
from hashlib import file_digest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from domain.clock import iso_milliseconds, utc_now
from domain.errors import MasterKeyError, StoreError, TransferError
from store.files import manifest as store_manifest
from store.files.data_folder import DataFolder
from store.files.segment_files import SegmentFiles
from store.files.staging_folder import STORE_PARTS, staged_folder
from store.keys import sealing
from store.keys.master_keys import MasterKeys, write_key_file
from store.ports.engine import PARTS
from store.sqlite.backup import FileSnapshot, check_file
from store.sqlite.keys import SqliteKeyStore
from store.sqlite.tracking_log import forget_tracking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from store.archive.segment import SegmentContents
    from store.store import Store
    from store.transfer.restore_log import ImportKey


MANIFEST: Final = "backup.json"
FORMAT: Final = "postwatch-backup"
VERSION: Final = 1
_FOLDERS: Final = ("proof/", "keys/", "logs/")
_NEEDED: Final = {"keys/keys.db", "logs/monitoring.db", "logs/checks.db"}
_HEADS: Final = "*.heads"
_TILES: Final = "*.db"
"""The trees: the hashes of archived events are nowhere else."""


class BackupResult(NamedTuple):
    """The files of a backup with their SHA-256, and their size in bytes together."""

    files: dict[str, str]
    size: int


def make_backup(
    store: Store,
    destination: Path,
    *,
    with_master_key: bool = False,
    report: Callable[[int, int], None] = lambda *_: None,
) -> BackupResult:
    """Copy a store to an empty folder while everything runs.

    `report` gets the number of pages copied, and of all pages. Raises StoreError when the
    folder is not empty or cannot be written; nothing is left there then.
    """
    with staged_folder(destination, (*STORE_PARTS, MANIFEST)) as incoming:
        copy = DataFolder(incoming)
        copy.monitoring_log.parent.mkdir(mode=0o700)
        copy.keys.parent.mkdir(mode=0o700)
        fingerprint = _copy(store, copy, report)
        if with_master_key:
            _add_master_key(store, copy, fingerprint)
        files = {
            str(path.relative_to(incoming)): _digest(path)
            for path in sorted(incoming.rglob("*"))
            if path.is_file()
        }
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "madeAt": iso_milliseconds(utc_now()),
            "masterKey": fingerprint,
            "store": store_manifest.described(PARTS),
            "files": files,
        }
        (incoming / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        (incoming / MANIFEST).chmod(0o600)
        size = sum((incoming / name).stat().st_size for name in files)
    return BackupResult(files, size)


def restore_backup(source: Path, root: Path, master_key: ImportKey | None) -> None:
    """Make a store in an empty folder from a backup. Without a key the backup must have it.

    Raises TransferError when the backup is damaged, MasterKeyError when the key does not
    open all its data keys, StoreError when the folder is not empty; nothing is changed then.
    """
    manifest = _read_manifest(source)
    parts = _parts_of(manifest, source)
    with staged_folder(root, STORE_PARTS) as incoming:
        for name, digest in manifest["files"].items():
            _take(source, incoming, name, digest)
        copy = DataFolder(incoming)
        for part in parts:
            check_file(copy.part(part))
        incidents = copy.log("incidents")
        if incidents.exists():
            # So alerting begins anew, and sends nothing of the time before.
            forget_tracking(incidents)
        _check_keys(copy, master_key)
        store_manifest.write(copy.manifest, parts)
        if master_key and master_key.is_kept and not copy.master_key.exists():
            write_key_file(copy.master_key, master_key.key)
        DataFolder(root).create()


def _copy(store: Store, copy: DataFolder, report: Callable[[int, int], None]) -> str:
    """Copy the files; return the fingerprint of the master key that wraps the copied keys."""
    folder = store.folder
    # Trees and heads before the logs: so they have no event that the copied logs lack.
    if folder.proof.is_dir():
        copy.proof.mkdir(mode=0o700)
        for tiles in folder.proof.glob(_TILES):
            with FileSnapshot(tiles) as hashes:
                hashes.copy(copy.proof / tiles.name)
    with store.keys.store.table() as table:
        fingerprint = table.master_fingerprint() or ""
        if copy.proof.is_dir():
            for heads in folder.proof.glob(_HEADS):
                shutil.copyfile(heads, copy.proof / heads.name)
        with FileSnapshot(folder.keys) as keys:
            keys.copy(copy.keys)
        incidents = FileSnapshot(folder.log("incidents"))
        # Checks archived between these two are in both: in the copied log, and in a segment.
        checks, monitoring = FileSnapshot(folder.checks_log), FileSnapshot(folder.monitoring_log)
        segments = store.archive.segments()
    with monitoring, checks, incidents:
        incidents.copy(copy.log("incidents"))
        monitoring.copy(copy.monitoring_log, report)
        checks.copy(copy.checks_log, report)
    _copy_segments(store, copy, segments)
    return fingerprint


def _copy_segments(store: Store, copy: DataFolder, segments: Sequence[SegmentContents]) -> None:
    """Copy the segments, which never change. Raises ArchiveError for a damaged one."""
    if segments:
        copy.archive.mkdir(mode=0o700)
    for each in segments:
        store.archive.read_back(each)
        path = SegmentFiles(store.folder.archive).path(each.first, each.last)
        shutil.copyfile(path, copy.archive / path.name)
        (copy.archive / path.name).chmod(0o600)


def _add_master_key(store: Store, copy: DataFolder, fingerprint: str) -> None:
    key = store.master_keys.find(fingerprint)
    if key is None:
        raise MasterKeyError(f"the keys of this store are wrapped by master key {fingerprint}")
    write_key_file(copy.master_key, key)


def _read_manifest(source: Path) -> dict[str, Any]:
    path = source / MANIFEST
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise TransferError(f"{source} is no whole backup: {MANIFEST} is missing or damaged")
    if not isinstance(found.get("version"), int):
        raise TransferError(f"{path} is damaged: it names no version")
    if found["version"] > VERSION:
        raise TransferError(
            f"the backup {source} is of version {found.get('version')}, this Postwatch reads up "
            f"to version {VERSION}: restore it with a newer Postwatch"
        )
    files = found.get("files")
    if not isinstance(files, dict) or not files.keys() >= _NEEDED:
        raise TransferError(f"{path} is damaged: it does not name the files of a store")
    return found


def _parts_of(manifest: dict[str, Any], source: Path) -> list[str]:
    """Return the parts of the store in a backup. Raises TransferError when it lacks one."""
    files, place = manifest["files"], DataFolder(source)
    described = manifest.get("store")
    if described is None:
        # Made by an earlier version: the files say which parts it had.
        return [each for each in PARTS if _name_of(each, place) in files]
    try:
        parts = sorted(store_manifest.parts_of(described, source / MANIFEST))
    except StoreError as error:
        raise TransferError(str(error)) from None
    for part in parts:
        if _name_of(part, place) not in files:
            raise TransferError(
                f"{source} is no whole backup: it lacks {_name_of(part, place)}, the part {part}"
            )
    return parts


def _name_of(part: str, folder: DataFolder) -> str:
    return str(folder.part(part).relative_to(folder.root))


def _take(source: Path, incoming: Path, name: str, digest: str) -> None:
    """Copy a file of the backup and verify it."""
    to = incoming / name
    if not to.resolve().is_relative_to(incoming.resolve()) or not name.startswith(_FOLDERS):
        raise TransferError(f"{source / MANIFEST} is damaged: it names a file outside the backup")
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        shutil.copyfile(source / name, to)
    except FileNotFoundError as error:
        raise TransferError(f"{source} is no whole backup: {name} is missing") from error
    except OSError as error:
        raise StoreError(
            f"cannot copy {source / name} to {incoming}: {error.strerror}; nothing was changed"
        ) from error
    to.chmod(0o600)
    if _digest(to) != digest:
        raise TransferError(f"{source / name} is damaged: its SHA-256 is not the one it had")


def _check_keys(copy: DataFolder, given: ImportKey | None) -> None:
    """Raise MasterKeyError unless the master key opens every data key of the backup."""
    with SqliteKeyStore(copy.keys, create=False).table() as table:
        fingerprint, keys = table.master_fingerprint() or "", table.all()
    master_key = MasterKeys(copy.master_key, given.key if given else None).find(fingerprint)
    if master_key is None:
        raise MasterKeyError(f"the backup is for master key {fingerprint}")
    for owner, wrapped in keys:
        sealing.unwrap_key(master_key, wrapped, owner)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
