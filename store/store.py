"""A store: the logs, their archive and the keys of one installation, on one engine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from domain.checks import Checks
from domain.errors import MasterKeyError, StoreError
from domain.incidents import Incidents
from domain.monitoring import Monitoring
from store.archive.check_archive import ArchivedRows, ArchivedStreams, CheckArchive
from store.files.data_folder import DataFolder
from store.keys.key_ring import KeyRing
from store.keys.master_keys import MasterKeys
from store.log_reader import LogReader
from store.sqlite.engine import SqliteEngine
from store.sqlite.snapshots import SnapshotFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from uuid import UUID

    from eventsourcing.application import Application

    from store.ports.engine import ChangeSignal, Database, Engine
    from store.proof.leaf import EventRows


class Store:
    """The open logs and keys of one installation. Close it, or use it in a `with`.

    `folder` is the data folder of this host, also when the store is in a database.
    """

    def __init__(
        self,
        engine: Engine,
        folder: DataFolder,
        keys: KeyRing,
        master_keys: MasterKeys,
        *,
        create: bool = False,
    ) -> None:
        """Open the logs of an engine. The store closes the engine."""
        self.engine = engine
        self.folder = folder
        self.keys = keys
        self.master_keys = master_keys
        self._snapshots = SnapshotFile(folder.snapshots)
        self.monitoring = Monitoring(
            keys,
            engine.environment("monitoring", create=create),
            turn=engine.turn("monitoring"),
            snapshots=self._snapshots,
        )
        self.checks = Checks(engine.environment("checks", create=create))
        self.incidents = Incidents(
            engine.environment("incidents", create=create), turn=engine.turn("incidents")
        )
        self.archive = CheckArchive(self.monitoring, engine.segments)
        live = engine.rows("checks")
        self.checks.older = ArchivedStreams(live, self.archive)
        self._checks_rows = ArchivedRows(live, self.archive)
        self._rows: dict[str, EventRows] = {
            "monitoring": engine.rows("monitoring"),
            "checks": self._checks_rows,
            "incidents": engine.rows("incidents"),
        }
        engine.note_parts()

    def rows(self, log: str) -> EventRows:
        """Return the raw rows of a log, archived ones too. Raises KeyError."""
        return self._rows[log]

    def reader(self, log: str) -> LogReader:
        """Return the reader of a log's events, archived ones too. Raises KeyError."""
        applications: dict[str, Application[UUID]] = {
            each.name: each for each in (self.monitoring, self.checks, self.incidents)
        }
        return LogReader(applications[log], self._checks_rows if log == "checks" else None)

    def signal(self, log: str) -> ChangeSignal:
        """Return the signal that tells when events were appended to a log."""
        return self.engine.signal(log)

    def check_writable(self) -> None:
        """Raise PersistenceError unless the `monitoring` log can be written now."""
        self.engine.check_writable()

    def close(self) -> None:
        """Close logs, keys and engine."""
        self.monitoring.close()
        self.checks.close()
        self.incidents.close()
        self.keys.close()
        self._snapshots.close()
        self.engine.close()

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
    root: Path,
    master_key: bytes | None = None,
    new_master_key: bytes | None = None,
    *,
    database: Database | None = None,
) -> Store:
    """Open the store in a folder, or in a database, and make what is missing.

    Raises StoreError when the folder or the database cannot be used, or a part of the store
    was lost; MasterKeyError when the master key is not the one that wraps the store's keys.
    """
    folder = DataFolder(root)
    with _engine(folder, database) as engine:
        engine.prepare_store()
        stored = engine.keys(create=True)
        master_keys = MasterKeys(folder.master_key, master_key, new_master_key)
        key = master_keys.first()
        if key is None:
            if stored.master_fingerprint() is not None:
                raise _no_master_key(folder, is_begun=True)
            folder.make(folder.master_key.parent)
            key = master_keys.make()
        keys = KeyRing(stored, key, master_keys.find)
        return Store(engine, folder, keys, master_keys, create=True)


def open_store(
    root: Path,
    master_key: bytes | None = None,
    new_master_key: bytes | None = None,
    *,
    database: Database | None = None,
) -> Store:
    """Open the store in a folder, or in a database.

    `new_master_key` is accepted too, before and after a change of the master key to it.
    Raises StoreError when there is no store or a part of it was lost, MasterKeyError as
    `create_store` does.
    """
    folder = DataFolder(root)
    with _engine(folder, database) as engine:
        engine.require_store()
        master_keys = MasterKeys(folder.master_key, master_key, new_master_key)
        key = master_keys.first()
        stored = engine.keys(create=False)
        if key is None:
            raise _no_master_key(folder, is_begun=stored.master_fingerprint() is not None)
        keys = KeyRing(stored, key, master_keys.find)
        return Store(engine, folder, keys, master_keys)


@contextmanager
def _engine(folder: DataFolder, database: Database | None) -> Iterator[Engine]:
    """Make the engine, and close it if the store cannot be opened in this block."""
    engine: Engine
    if database is None:
        engine = SqliteEngine(folder)
    else:
        # Imported only here: a process without a database is spared the driver's memory.
        from store.postgres.engine import PostgresEngine  # noqa: PLC0415 - as said above

        engine = PostgresEngine(database)
    try:
        yield engine
    except BaseException:
        engine.close()
        raise


def _no_master_key(folder: DataFolder, *, is_begun: bool) -> MasterKeyError | StoreError:
    if not is_begun:
        return StoreError(
            "nothing was begun in this store yet; run `postwatch init` once, with the master "
            "key that all hosts are to have: `postwatch keys new FILE` makes one, "
            "POSTWATCH_MASTER_KEY_FILE names it"
        )
    return MasterKeyError(
        f"the master key is missing: {folder.master_key} is not there and "
        "POSTWATCH_MASTER_KEY is not set; without it no stored secret can be read"
    )
