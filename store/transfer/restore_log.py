"""Imports an export into an empty store: all events at their old positions, or none.

The lines are verified only at the end, by their digest, their number and the code under the
master key. Until then they go into a bulk load that can be undone: a staging folder, or the
transaction of a database. Checks that were archived become segments again.
"""

from __future__ import annotations

import hmac
from collections import Counter, deque
from contextlib import ExitStack, closing, contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from typing_extensions import override

from domain.check import ChecksArchived
from domain.errors import MasterKeyError, TransferError
from store.archive.check_archive import LOG
from store.archive.segment import MOST_EVENTS, SegmentContents, contents_of, encode
from store.files.data_folder import DataFolder
from store.files.segment_files import SegmentFiles
from store.files.staging_folder import STORE_PARTS, staged_folder
from store.keys import sealing
from store.keys.master_keys import read_key_file, write_key_file
from store.ports.bulk_load import BulkLoad, EventSink
from store.ports.engine import LOGS
from store.ports.errors import STORE_UNAVAILABLE
from store.sqlite.keys import SqliteKeyStore
from store.sqlite.log import SqliteSink
from store.store import create_store
from store.transfer.export_format import (
    End,
    Header,
    mac_of,
    read_end,
    read_event,
    read_header,
    read_key,
    read_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from domain.event_mapper import Row
    from store.ports.engine import Database


_TOPIC: Final = ChecksArchived.TOPIC.encode()


class CheckSink:
    """Takes checks in order, after the events of all segments, and sorts them to these.

    The newest check of each stream also goes to the log: the next append needs its version.
    """

    def __init__(self, bulk_load: BulkLoad) -> None:
        self._log = bulk_load.sink(LOG)
        self._bulk_load = bulk_load
        self._expected: deque[SegmentContents] = deque()
        self._rows: list[Row] = []
        self._newest: dict[bytes, Row] = {}

    def note(self, row: Row) -> None:
        """Take an event of the `monitoring` log: it may record a segment. Raises TransferError."""
        if row.topic != _TOPIC:
            return
        try:
            state = orjson.loads(row.state)
            first, last = int(state["first_position"]), int(state["last_position"])
            found = SegmentContents(first, last, int(state["count"]), str(state["digest"]))
        except (ValueError, KeyError, TypeError):
            raise TransferError("an event about archived checks is damaged") from None
        behind = self._expected[-1].last if self._expected else 0
        if not behind < first <= last or found.events > MOST_EVENTS:
            raise TransferError("the events about archived checks are out of order")
        self._expected.append(found)

    def append(self, row: Row) -> None:
        """Take a check. Raises TransferError when a segment would differ from its record."""
        while self._expected and row.position > self._expected[0].last:
            self._write()
        if self._expected and row.position >= self._expected[0].first:
            if len(self._rows) >= self._expected[0].events:
                raise TransferError(_not_as_archived(self._expected[0]))
            self._rows.append(row)
            self._newest[row.originator_id] = row
        else:
            self._newest.pop(row.originator_id, None)
            self._log.append(row)

    def finish(self, last_given: int) -> None:
        """Write what is left, and the highest position that was ever given."""
        while self._expected:
            self._write()
        for row in self._newest.values():
            self._log.append(row)
        self._log.finish(last_given)

    def _write(self) -> None:
        contents = self._expected.popleft()
        if not self._rows or contents_of(self._rows) != contents:
            raise TransferError(_not_as_archived(contents))
        self._bulk_load.put_segment(contents.first, contents.last, encode(LOG, self._rows))
        self._rows = []


def _not_as_archived(contents: SegmentContents) -> str:
    return (
        f"the checks of the positions {contents.first} to {contents.last} are not those that "
        "were archived"
    )


@contextmanager
def bulk_load_files(root: Path, master_key: bytes) -> Iterator[FilesBulkLoad]:
    """Give a bulk load into a staging folder, which becomes the store in `root` at the end.

    Nothing is changed when the block fails. Raises StoreError when `root` is not empty.
    """
    with staged_folder(root, STORE_PARTS) as incoming:
        # Makes the files with the schema that this version uses.
        create_store(incoming, master_key).close()
        with FilesBulkLoad(DataFolder(incoming)) as made:
            yield made
        DataFolder(root).create()


class FilesBulkLoad(BulkLoad, ExitStack):
    """A bulk load into the files of a store. The files are open until the block ends."""

    def __init__(self, folder: DataFolder) -> None:
        super().__init__()
        self.folder = folder

    @override
    def sink(self, log: str) -> EventSink:
        return self.enter_context(closing(SqliteSink(self.folder.log(log))))

    @override
    def put_segment(self, first: int, last: int, data: bytes) -> None:
        SegmentFiles(self.folder.archive).write(first, last, data)

    @override
    def put_keys(self, master: str, keys: Iterable[tuple[str, bytes]]) -> None:
        with SqliteKeyStore(self.folder.keys, create=False).table() as table:
            table.replace(master, keys)


MAX_LINE_BYTES: Final = 1 << 25
"""Far more than any event; without a limit a file without newlines would fill the memory."""

_REPORT_EVERY: Final = 2000


class ImportResult(NamedTuple):
    """How many keys and events were imported."""

    keys: int
    events: dict[str, int]


class ImportKey(NamedTuple):
    """The master key of an export or backup, and whether to write it to the data folder."""

    key: bytes
    is_kept: bool


def import_lines(
    file: BinaryIO,
    root: Path,
    master_key: ImportKey,
    report: Callable[[int, int], None] = lambda *_: None,
    *,
    database: Database | None = None,
) -> ImportResult:
    """Make the store that an export describes in an empty folder, or in an empty database.

    `report` gets how many positions are done, and how many there are. Raises TransferError
    when the export is damaged or cut off, MasterKeyError when it is for another master key,
    StoreError when the folder or the database is not empty; nothing is changed then.
    """
    if database is not None:
        return _into_database(file, DataFolder(root), database, master_key, report)
    with bulk_load_files(root, master_key.key) as bulk_load:
        imported = _Import(file, bulk_load, master_key.key, report).run()
        if master_key.is_kept:
            write_key_file(bulk_load.folder.master_key, master_key.key)
    return imported


def _into_database(
    file: BinaryIO,
    folder: DataFolder,
    database: Database,
    master_key: ImportKey,
    report: Callable[[int, int], None],
) -> ImportResult:
    # Imported only here: a process without a database is spared the driver's memory.
    from store.postgres.engine import PostgresEngine  # noqa: PLC0415 - as said above

    with closing(PostgresEngine(database)) as engine, ExitStack() as undo:
        try:
            with engine.bulk_load() as bulk_load:
                imported = _Import(file, bulk_load, master_key.key, report).run()
                if master_key.is_kept and _keep_key(folder, master_key.key):
                    undo.callback(folder.master_key.unlink)
        except STORE_UNAVAILABLE:
            # The commit may have succeeded and its answer been lost: keep the key.
            undo.pop_all()
            raise
        undo.pop_all()
    return imported


def _keep_key(folder: DataFolder, key: bytes) -> bool:
    """Write a master key to the folder of this host; return False when it has it already."""
    folder.make(folder.master_key.parent)
    if folder.master_key.exists() and read_key_file(folder.master_key) == key:
        return False
    write_key_file(folder.master_key, key)
    return True


class _Import:
    """One pass over the lines of an export."""

    def __init__(
        self,
        file: BinaryIO,
        bulk_load: BulkLoad,
        master_key: bytes,
        report: Callable[[int, int], None],
    ) -> None:
        self._file = file
        self._bulk_load = bulk_load
        self._master_key = master_key
        self._report = report
        self._digest = sha256()
        self._number = 0
        self._keys: dict[str, bytes] = {}
        self._reached = dict.fromkeys(LOGS, 0)
        self._events = Counter(self._reached)

    def run(self) -> ImportResult:
        """Read and load all lines, and verify them at the end."""
        header = self._header()
        monitoring = self._bulk_load.sink("monitoring")
        self._checks = CheckSink(self._bulk_load)
        incidents = self._bulk_load.sink("incidents")
        self._verify(self._body(header, monitoring, incidents))
        monitoring.finish(header.last_given["monitoring"])
        incidents.finish(header.last_given.get("incidents", 0))
        self._checks.finish(header.last_given["checks"])
        self._bulk_load.put_keys(header.master_key, self._keys.items())
        return ImportResult(len(self._keys), dict(self._events))

    def _header(self) -> Header:
        line = self._next()
        header = read_header(read_line(1, line))
        mine = sealing.fingerprint(self._master_key)
        if header.master_key != mine:
            raise MasterKeyError(
                f"the export is for master key {header.master_key}, the one given is {mine}"
            )
        self._digest.update(line)
        return header

    def _body(self, header: Header, monitoring: EventSink, incidents: EventSink) -> End:
        """Load the lines of keys and events; return the last line."""
        total = sum(header.last_given.values())
        while True:
            line = self._next()
            found = read_line(self._number, line)
            if "end" in found:
                return read_end(self._number, found)
            if "key" in found:
                self._take_key(found)
            else:
                log, row = read_event(self._number, found)
                self._take_event(log, row, header.last_given.get(log, 0))
                if log == "checks":
                    self._checks.append(row)
                elif log == "incidents":
                    incidents.append(row)
                else:
                    monitoring.append(row)
                    self._checks.note(row)
                if self._number % _REPORT_EVERY == 0:
                    self._report(sum(self._reached.values()), total)
            self._digest.update(line)

    def _take_key(self, found: dict[str, Any]) -> None:
        owner, wrapped = read_key(self._number, found)
        if owner in self._keys or any(self._reached.values()):
            raise TransferError(f"line {self._number} is out of place")
        sealing.unwrap_key(self._master_key, wrapped, owner)
        self._keys[owner] = wrapped

    def _take_event(self, log: str, row: Row, last: int) -> None:
        behind = LOGS[LOGS.index(log) + 1 :]
        if not self._reached[log] < row.position <= last or any(self._reached[x] for x in behind):
            raise TransferError(f"line {self._number} is out of place")
        self._reached[log] = row.position
        self._events[log] += 1

    def _verify(self, end: End) -> None:
        """Raise TransferError unless the lines add up to what the last one says."""
        if (end.keys, Counter(end.events)) != (len(self._keys), self._events):
            raise TransferError("the export lacks lines, or has some too many")
        found = self._digest.hexdigest()
        if found != end.sha256:
            raise TransferError("the export was changed: its SHA-256 is not the one it names")
        mac = mac_of(self._master_key, found)
        if not hmac.compare_digest(str(end.mac).encode(), mac.encode()):
            raise TransferError("the export was changed by a program without its master key")
        if self._file.read(1):
            raise TransferError(
                f"there is more data after the end of the export, line {self._number}"
            )

    def _next(self) -> bytes:
        line = self._file.readline(MAX_LINE_BYTES)
        if not line:
            raise TransferError(f"the export is cut off after line {self._number}")
        self._number += 1
        return line
