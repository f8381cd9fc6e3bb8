"""Filling an empty data folder: in a folder beside, which takes its place at the end."""

from __future__ import annotations

from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from domain.storage.data_folder import DataFolder
from domain.storage.filling import EventSink, Filling
from domain.storage.segment_files import SegmentFiles
from domain.storage.sqlite_keys import SqliteKeyStore
from domain.storage.sqlite_sink import SqliteSink
from domain.store import create_store
from domain.transfer.fresh_folder import STORE_PARTS, filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@contextmanager
def filling_files(root: Path, master_key: bytes) -> Iterator[FilesFilling]:
    """Lend an empty store to be filled; it is in `root` when the block ends, and else nothing.

    Raises StoreError when the folder is not empty.
    """
    with filled(root, STORE_PARTS) as incoming:
        # Makes the files with the schema that this version uses.
        create_store(incoming, master_key).close()
        with FilesFilling(DataFolder(incoming)) as made:
            yield made
        DataFolder(root).create()


class FilesFilling(Filling, ExitStack):
    """The files of a store that is being filled. Open until the block ends."""

    def __init__(self, folder: DataFolder) -> None:
        super().__init__()
        self.folder = folder
        self.segments = SegmentFiles(folder.archive)

    def sink(self, log: str) -> EventSink:
        """Return what takes the events of a log."""
        return self.enter_context(closing(SqliteSink(self.folder.log(log))))

    def put_keys(self, master: str, keys: Iterable[tuple[str, bytes]]) -> None:
        """Put in the wrapped keys by owner, and the fingerprint of their master key."""
        with SqliteKeyStore(self.folder.keys, create=False).table() as table:
            table.replace(master, keys)
