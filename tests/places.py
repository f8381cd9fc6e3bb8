"""Where a store can be, for tests that run on every engine."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from store.files.data_folder import DataFolder
from store.ports.engine import Database
from store.postgres.engine import PostgresEngine
from store.sqlite.engine import SqliteEngine
from store.store import create_store, open_store
from tests.postgres_server import find_binaries, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractContextManager

    from store.ports.engine import Engine
    from store.store import Store
    from tests.postgres_server import PostgresServer


SQLITE: Final = "sqlite"
_NEEDS_SERVER: Final = pytest.mark.skipif(
    find_binaries() is None, reason="there is no PostgreSQL server"
)
POSTGRES: Final = pytest.param("postgres", marks=_NEEDS_SERVER)
POSTGRES_TOO: Final = pytest.param("postgres", marks=[_NEEDS_SERVER, pytest.mark.thorough])
"""The second engine, for a promise that a quick run meets on the first one."""

ENGINES: Final = [SQLITE, POSTGRES_TOO]

on_sqlite: Final = pytest.mark.only_sqlite
"""Marks tests about what only files have."""

on_postgres: Final = pytest.mark.only_postgres
"""Marks tests about what only a database has."""


def engines_for(marks: AbstractSet[str]) -> list[object]:
    """Return the engines that a test with these markers runs on, as parameters."""
    if "only_postgres" in marks:
        return [POSTGRES]
    if marks & {"only_sqlite", "any_engine"}:
        return [SQLITE]
    return [SQLITE, POSTGRES if "both_engines" in marks else POSTGRES_TOO]


_TEMPLATE: Final = "postwatch_template"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one store is, or can be made."""

    root: Path
    database: Database | None = None

    def create(self, master_key: bytes | None = None, new: bytes | None = None) -> Store:
        """Make the store, or open it if it is there."""
        return create_store(self.root, master_key, new, database=self.database)

    def open(self, master_key: bytes | None = None, new: bytes | None = None) -> Store:
        """Open the store once more, as another process does."""
        return open_store(self.root, master_key, new, database=self.database)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Open the engine alone, ready for a store, as another process does."""
        folder = DataFolder(self.root)
        opened: Engine = (
            SqliteEngine(folder) if self.database is None else PostgresEngine(self.database)
        )
        if not folder.keys.exists():  # There may be keys without logs.
            opened.prepare_store()
        yield opened
        opened.close()

    @property
    def words(self) -> tuple[str, str]:
        """The arguments with which another program calls `place_of(*words)`."""
        return str(self.root), self.database.url if self.database else ""

    @property
    def environment(self) -> dict[str, str]:
        """The settings by which a command finds the store."""
        found = {"POSTWATCH_DATA": str(self.root)}
        if self.database is not None:
            found["POSTWATCH_DATABASE_URL"] = self.database.url
        return found


def place_of(root: str, url: str) -> Place:
    """Return the place that an argument of a program names."""
    return Place(Path(root), Database(url) if url else None)


@dataclass(slots=True)
class Databases:
    """A server that gives each caller a database of its own, with the schema."""

    server: PostgresServer
    _number: Iterator[int] = field(default_factory=count)

    @contextmanager
    def migrated(self, template: str = _TEMPLATE) -> Iterator[Database]:
        """Yield a database without a store in it; it is dropped afterwards."""
        name = f"postwatch_{os.getpid()}_{next(self._number)}"
        yield Database(self.server.create_database(name, template))
        self.server.drop_database(name)

    def empty(self) -> AbstractContextManager[Database]:
        """Yield a database without the schema; it is dropped afterwards."""
        return self.migrated("template0")


@contextmanager
def databases(settings: Mapping[str, str] | None = None) -> Iterator[Databases]:
    """Run a server with a template that has the schema, while the block runs."""
    with postgres_server(settings) as server:
        engine = PostgresEngine(Database(server.create_database(_TEMPLATE)))
        engine.migrate()
        engine.close()
        yield Databases(server)


@contextmanager
def place_on(request: pytest.FixtureRequest, root: Path) -> Iterator[Place]:
    """Yield a place on the engine that a fixture's parameter names."""
    if request.param == SQLITE:
        yield Place(root)
        return
    made: Databases = request.getfixturevalue("postgres")
    with made.migrated() as database:
        yield Place(root, database)
