"""The paths inside a data folder, and folders that survive a power cut.

logs/monitoring.db   logs/checks.db     the events
logs/incidents.db                       what alerting decided from them
logs/archive/                           old checks, moved out of their log
manifest.json                           the parts that the store has
keys/keys.db         keys/master.key    the keys that open secrets
proof/                                  Merkle trees and signed heads of the logs
views/               locks/   metrics/  of the processes; can be deleted

When the store is in a database, the folder holds what belongs to one host: a master key
that was made there, and counts that API workers share.

A new file survives a power cut only after its folder was synced too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path


def sync(path: Path) -> None:
    """Write the content of a file, or the names in a folder, to disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder, private to its owner, and those above it; synced when this returns."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync(path.parent)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The paths inside a data folder."""

    root: Path

    @property
    def monitoring_log(self) -> Path:
        """The file of the `monitoring` log."""
        return self.log("monitoring")

    @property
    def checks_log(self) -> Path:
        """The file of the `checks` log."""
        return self.log("checks")

    @property
    def manifest(self) -> Path:
        """The file that names the parts of the store."""
        return self.root / "manifest.json"

    @property
    def archive(self) -> Path:
        """The folder of archived checks."""
        return self.root / "logs" / "archive"

    @property
    def keys(self) -> Path:
        """The file of the wrapped data keys."""
        return self.root / "keys" / "keys.db"

    @property
    def master_key(self) -> Path:
        """The file of a master key that this host made."""
        return self.root / "keys" / "master.key"

    @property
    def proof(self) -> Path:
        """The folder of the logs' Merkle trees and signed heads."""
        return self.root / "proof"

    @property
    def views(self) -> Path:
        """The folder of the views."""
        return self.root / "views"

    @property
    def snapshots(self) -> Path:
        """The file of the snapshots of long streams."""
        return self.views / "snapshots.db"

    @property
    def metrics(self) -> Path:
        """The folder of counts that workers of the API share."""
        return self.root / "metrics"

    @property
    def locks(self) -> Path:
        """The folder of the processes' lock files."""
        return self.root / "locks"

    def log(self, name: str) -> Path:
        """Return the file of a log."""
        return self.root / "logs" / f"{name}.db"

    def part(self, name: str) -> Path:
        """Return the file of a part of the store: of a log, or of the keys."""
        return self.keys if name == "keys" else self.log(name)

    def create(self) -> None:
        """Make the folders of a store, readable by their owner only. Raises StoreError."""
        self.make(self.monitoring_log.parent, self.keys.parent, self.views, self.locks)

    def make(self, *folders: Path) -> None:
        """Make some of the folders. A host needs only some of them when the store is in a database.

        Raises StoreError.
        """
        try:
            make_folder(self.root)
            for path in folders:
                path.mkdir(exist_ok=True, mode=0o700)
            # Without this a power cut could remove the folder of a log that acknowledged events.
            sync(self.root)
        except OSError as error:
            raise StoreError(
                f"cannot write to the data folder {self.root}: {error.strerror}; "
                "choose another one with POSTWATCH_DATA, or change its owner"
            ) from error
