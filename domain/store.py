"""One data folder: the logs, the keys, and where they lie.

logs/monitoring.db   logs/checks.db     what is true
logs/archive/                           old checks that were taken out of their log
keys/keys.db         keys/master.key    what opens the secrets
proof/               what proves that the logs were not changed
views/               locks/             of the processes; can be thrown away
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from domain.archive.check_archive import CheckArchive
from domain.archive.rows import ArchivedRows, ArchivedStreams
from domain.checks import Checks
from domain.errors import MasterKeyError, StoreError
from domain.keys import KeyRing
from domain.log_reader import LogReader
from domain.master_keys import MasterKeys
from domain.monitoring import Monitoring
from domain.storage.segment_files import SegmentFiles
from domain.storage.sqlite_keys import SqliteKeyStore
from domain.storage.sqlite_log import LogSignal, check_writable, log_environment
from domain.storage.sqlite_rows import SqliteRows
from domain.storage.syncing import make_folder, sync
from domain.storage.write_queue import WriteQueue

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from domain.proof.leaf import EventRows


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The paths inside a data folder."""

    root: Path

    @property
    def monitoring_log(self) -> Path:
        """The file of the `monitoring` log."""
        return self.root / "logs" / "monitoring.db"

    @property
    def checks_log(self) -> Path:
        """The file of the `checks` log."""
        return self.root / "logs" / "checks.db"

    @property
    def archive(self) -> Path:
        """The folder of old checks that were taken out of their log."""
        return self.root / "logs" / "archive"

    @property
    def keys(self) -> Path:
        """The file of the wrapped data keys."""
        return self.root / "keys" / "keys.db"

    @property
    def master_key(self) -> Path:
        """The file of the master key that was made here."""
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
    def metrics(self) -> Path:
        """The folder of counts that workers of the API share."""
        return self.root / "metrics"

    @property
    def locks(self) -> Path:
        """The folder of the processes' lock files."""
        return self.root / "locks"

    @property
    def exists(self) -> bool:
        """Whether a store was made here."""
        return self.keys.exists() and self.monitoring_log.exists() and self.checks_log.exists()

    def create(self) -> None:
        """Make the folders, readable by their owner only. Raises StoreError."""
        try:
            make_folder(self.root)
            for path in (self.monitoring_log.parent, self.keys.parent, self.views, self.locks):
                path.mkdir(exist_ok=True, mode=0o700)
            # A log whose folder is forgotten by a power cut is lost with all that it acknowledged.
            sync(self.root)
        except OSError as error:
            raise StoreError(
                f"cannot write to the data folder {self.root}: {error.strerror}; "
                "choose another one with POSTWATCH_DATA, or change its owner"
            ) from error


class Store:
    """The logs and keys of one data folder, open. Close it, or use it in a `with`."""

    def __init__(
        self, folder: DataFolder, keys: KeyRing, master_keys: MasterKeys, *, create: bool = False
    ) -> None:
        """Open the logs of a folder."""
        self.folder = folder
        self.keys = keys
        self.master_keys = master_keys
        monitoring = log_environment(str(folder.monitoring_log), create=create)
        self.monitoring = Monitoring(keys, monitoring)
        self._queue = WriteQueue(folder.locks / "monitoring.turn")
        self.monitoring.turn = self._queue.turn
        self.checks = Checks(log_environment(str(folder.checks_log), create=create))
        self.archive = CheckArchive(self.monitoring, SegmentFiles(folder.archive))
        live = SqliteRows(folder.checks_log)
        self.checks.older = ArchivedStreams(live, self.archive)
        self._rows: dict[str, EventRows] = {
            "monitoring": SqliteRows(folder.monitoring_log),
            "checks": ArchivedRows(live, self.archive),
        }

    def rows(self, log: str) -> EventRows:
        """Return the rows of a log as they are stored, archived ones too. Raises KeyError."""
        return self._rows[log]

    def reader(self, log: str) -> LogReader:
        """Return what reads the events of a log, archived ones too. Raises KeyError."""
        applications = {"monitoring": self.monitoring, "checks": self.checks}
        return LogReader(applications[log], self._rows[log] if log == "checks" else None)

    def monitoring_signal(self) -> LogSignal:
        """Return what tells that somebody wrote to the `monitoring` log."""
        return LogSignal(str(self.folder.monitoring_log))

    def checks_signal(self) -> LogSignal:
        """Return what tells that somebody wrote to the `checks` log."""
        return LogSignal(str(self.folder.checks_log))

    def check_writable(self) -> None:
        """Take and give back the write lock of the `monitoring` log.

        Raises PersistenceError when the log cannot be written.
        """
        check_writable(str(self.folder.monitoring_log))

    def close(self) -> None:
        """Close logs and keys."""
        self.monitoring.close()
        self.checks.close()
        self.keys.close()
        self._queue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def create_store(
    root: Path, master_key: bytes | None = None, new_master_key: bytes | None = None
) -> Store:
    """Open the store in a folder, making what is not there yet.

    Raises StoreError when the folder cannot be used, MasterKeyError when the master key
    is not the one that wraps the store's keys.
    """
    folder = DataFolder(root)
    folder.create()
    master_keys = MasterKeys(folder.master_key, master_key, new_master_key)
    key = master_keys.first()
    if key is None:
        if folder.keys.exists():
            raise _no_master_key(folder)
        key = master_keys.make()
    keys = KeyRing(SqliteKeyStore(folder.keys, create=True), key, master_keys.find)
    return Store(folder, keys, master_keys, create=True)


def open_store(
    root: Path, master_key: bytes | None = None, new_master_key: bytes | None = None
) -> Store:
    """Open the store in a folder. Raises StoreError when there is none, MasterKeyError.

    `new_master_key` is accepted too, before and after the master key is changed to it.
    """
    folder = DataFolder(root)
    if not folder.exists:
        raise StoreError(
            f"there is no Postwatch store in {root}; run `postwatch up` or `postwatch init` first, "
            "or name another folder with POSTWATCH_DATA"
        )
    master_keys = MasterKeys(folder.master_key, master_key, new_master_key)
    key = master_keys.first()
    if key is None:
        raise _no_master_key(folder)
    keys = KeyRing(SqliteKeyStore(folder.keys, create=False), key, master_keys.find)
    return Store(folder, keys, master_keys)


def _no_master_key(folder: DataFolder) -> MasterKeyError:
    return MasterKeyError(
        f"the master key is missing: {folder.master_key} is not there and "
        "POSTWATCH_MASTER_KEY is not set; without it no stored secret can be read"
    )
