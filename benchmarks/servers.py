"""The servers that are compared: all of them gunicorn with the settings of `postwatch api`.

Run as a program with the name of one of `SERVERS`; the settings come from the
environment, as for the command itself.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import falcon

from api.http.execution import Execution
from api.http.operation import Endpoint, operations_of
from service import logging
from service.api_server import ApiServer, make_counters_folder
from service.settings import Settings
from store.files.data_folder import DataFolder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


START_SECONDS: Final = 60
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CPU_FIELDS: Final = slice(11, 13)
"""utime and stime in /proc/<pid>/stat, counted from the state behind the name."""


class Hello:
    """GET /hello: the least that Falcon can do."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer a small object."""
        resp.media = {"hello": "world"}


class Append:
    """POST /append: one durable transaction with the bytes of the body, and nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connection().execute("CREATE TABLE IF NOT EXISTS appended (state BLOB NOT NULL)")

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Append the body."""
        state: bytes = req.context.body
        self._connection().execute("INSERT INTO appended VALUES (?)", (state,))
        resp.status = falcon.HTTP_201
        resp.media = {"bytes": len(state)}

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=30)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            self._local.connection = connection
        return connection


class BareServer(ApiServer):
    """Gunicorn as for the API, with two bare resources."""

    def load(self) -> Any:  # noqa: ANN401 - what gunicorn serves
        """Return the application of one worker."""
        # Imported here: the counters read the name of their folder when they are imported.
        from api.app import App  # noqa: PLC0415

        app, execution = App(), Execution(reads_wait=False)
        append = Append(self.settings.data / "appended.db")
        app.add_route("/hello", Endpoint(execution, operations_of(Hello())))
        app.add_route("/append", Endpoint(execution, operations_of(append)))
        return app


SERVERS: Final = {"api": ApiServer, "bare": BareServer}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and what the kernel says of its workers."""

    port: int
    pid: int

    def workers(self) -> list[int]:
        """Return the workers' process ids."""
        return [int(each) for each in _read(f"{self.pid}/task/{self.pid}/children").split()]

    def cpu_seconds(self) -> float:
        """Return the time that the workers have used, in user and in kernel mode."""
        stats = [_read(f"{each}/stat").rpartition(")")[2].split() for each in self.workers()]
        return sum(int(ticks) for stat in stats for ticks in stat[_CPU_FIELDS]) / _TICKS

    def memory_mib(self) -> list[float]:
        """Return the memory of each worker, pages that it shares counted in proportion."""
        rollups = [_read(f"{each}/smaps_rollup").splitlines() for each in self.workers()]
        return [
            int(line.split()[1]) / 1024
            for lines in rollups
            for line in lines
            if line.startswith("Pss:")
        ]


@contextmanager
def started(name: str, data: Path, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start a server on a data folder, wait until its workers serve, stop it at the end."""
    port = _free_port()
    settings = {"POSTWATCH_DATA": str(data), "POSTWATCH_BIND": f"127.0.0.1:{port}", **(env or {})}
    with data.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.servers", name],
            cwd=Path(__file__).parents[1],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        if not process.stdout.readline():
            raise RuntimeError(data.with_suffix(".log").read_text())
        yield Server(port, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def main() -> None:
    """Serve until SIGTERM; print a line when the first worker is ready."""
    settings = Settings.from_env()
    logging.configure(settings.log_level, settings.log_format)
    make_counters_folder(DataFolder(settings.data))
    server = SERVERS[sys.argv[1]](settings)
    server.cfg.set("post_worker_init", lambda _: print("ready", flush=True))
    server.run()


def _read(path: str) -> str:
    return (Path("/proc") / path).read_text()


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
