"""The engine for one host: SQLite files and file locks in a data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from domain.errors import StoreError
from store.files.file_locks import FileLocks, WriteQueue
from store.files.head_file import HeadFile
from store.files.segment_files import SegmentFiles
from store.ports.engine import TRACKING_LOGS, ChangeSignal, Engine, StoredRows
from store.sqlite import tracking_log
from store.sqlite.keys import SqliteKeyStore
from store.sqlite.log import SqliteChangeSignal, SqliteRows, check_writable, log_environment, prune
from store.sqlite.parts import (
    is_begun,
    named_parts,
    note_beginning,
    note_parts,
    require_parts,
)
from store.sqlite.tiles import SqliteTiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.application import Turn
    from store.files.data_folder import DataFolder
    from store.keys.key_ring import KeyStore
    from store.ports.leases import FleetRow
    from store.proof.tiles import TileStore
    from store.proof.tree_heads import HeadStore


class SqliteEngine(Engine):
    """Hands out the files of a data folder."""

    has_fleet = False

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self.locks = FileLocks(folder.locks)
        self.segments = SegmentFiles(folder.archive)
        self._queues: list[WriteQueue] = []

    @override
    def prepare_store(self) -> None:
        """Make the folders; each file is made when it is opened.

        Raises StoreError when a part of a store that is there was lost.
        """
        if is_begun(self.folder):
            require_parts(self.folder)
            self.folder.create()
        else:
            self.folder.create()
            note_beginning(self.folder)

    @override
    def require_store(self) -> None:
        """Raise StoreError unless the files of a store are there, all that its manifest names.

        Folders whose content can be deleted are made again: a copied store may lack them.
        """
        if not is_begun(self.folder):
            raise StoreError(
                f"there is no Postwatch store in {self.folder.root}; run `postwatch up` or "
                "`postwatch init` first, or name another folder with POSTWATCH_DATA"
            )
        require_parts(self.folder)
        if not (self.folder.views.is_dir() and self.folder.locks.is_dir()):
            self.folder.make(self.folder.views, self.folder.locks)

    @override
    def note_parts(self) -> None:
        note_parts(self.folder)

    @override
    def environment(self, log: str, *, create: bool) -> dict[str, str]:
        path = str(self.folder.log(log))
        # A log that the manifest does not name is new to this store.
        create = create or log not in named_parts(self.folder)
        if log in TRACKING_LOGS:
            return log_environment(path, create=create, module=tracking_log.__name__)
        return log_environment(path, create=create)

    @override
    def rows(self, log: str) -> StoredRows:
        return SqliteRows(self.folder.log(log))

    @override
    def prune(self, position: int, through: int) -> int:
        return prune(self.folder.checks_log, position, through)

    @override
    def log_bytes(self, log: str) -> int:
        path = self.folder.log(log)
        files = (path, path.with_name(f"{path.name}-wal"))
        return sum(each.stat().st_size for each in files if each.exists())

    @override
    def signal(self, log: str) -> ChangeSignal:
        return SqliteChangeSignal(str(self.folder.log(log)))

    @override
    def keys(self, *, create: bool) -> KeyStore:
        return SqliteKeyStore(self.folder.keys, create=create)

    @override
    def tiles(self, log: str) -> TileStore:
        return SqliteTiles(self.folder.proof / f"{log}.db")

    @override
    def heads(self, log: str) -> HeadStore:
        return HeadFile(self.folder.proof / f"{log}.heads")

    @override
    def turn(self, name: str) -> Turn:
        """Return the turn of a queue: SQLite has one writer at a time, and polls for its lock."""
        queue = WriteQueue(self.folder.locks / f"{name}.turn")
        self._queues.append(queue)
        return queue.turn

    @override
    def check_writable(self) -> None:
        check_writable(str(self.folder.monitoring_log))

    @override
    def leases(self, location: str, number: int) -> None:
        """Return None: a file lock allows one checker for each location."""

    @override
    def fleet(self) -> Sequence[FleetRow]:
        """Return none: no checkers share monitors."""
        return ()

    @override
    def close(self) -> None:
        """Close the files of the queues."""
        while self._queues:
            self._queues.pop().close()
