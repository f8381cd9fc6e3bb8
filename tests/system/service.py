"""A whole Postwatch in real processes, as `make run` starts it, and a client for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from projections.catalog import Views
from store.store import open_store
from tests.mailservers.processes import free_ports
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType


CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("POSTWATCH_")}
"""The environment without the Postwatch settings of the user who runs the tests."""

ROOT = Path(__file__).parents[2]
START_SECONDS = 40
STOP_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What the API answered."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Client:
    """A REST client; one connection a request, so that it may be used in many threads."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send a request. Raises OSError or HTTPException when no answer came."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        headers["Authorization"] = f"Bearer {self._token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        with contextlib.closing(connection):
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            raw = response.read()
        is_json = "json" in response.headers.get("Content-Type", "")
        read: Any = json.loads(raw) if raw and is_json else raw.decode() or None
        return Answer(response.status, read, dict(response.headers))

    def create(self, kind: str, **body: object) -> dict[str, Any]:
        """Create a monitor of customer 1 and return the answer's body."""
        answer = self("POST", f"/api/{kind}-monitors", {"customerId": 1, **body})
        assert answer.status == 201, answer
        created: dict[str, Any] = answer.body
        return created


def postwatch(*arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=ROOT,
        env={**CLEAN, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Service:
    """`postwatch up` on a data folder. Use it in a `with`: it is stopped whatever happens."""

    def __init__(self, data: Path, **env: str) -> None:
        self.data = data
        self.log = data.with_suffix(".log")
        self.port = free_ports(1)[0]
        self.token = ""
        self.env = {
            "POSTWATCH_DATA": str(data),
            "POSTWATCH_BIND": f"127.0.0.1:{self.port}",
            "POSTWATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
            "POSTWATCH_LOG_FORMAT": "json",
            **env,
        }
        self.process: subprocess.Popen[str] | None = None

    @property
    def client(self) -> Client:
        """Return a client with the admin's token."""
        return Client(self.port, self.token)

    def token_of(self, role: str) -> str:
        """Issue a token of a role by the command, as an operator does while the service runs."""
        issued = self.run("token", "create", "--name", role, "--role", role)
        assert issued.returncode == 0, issued.stderr
        return issued.stdout.strip()

    def start(self) -> dict[str, Any]:
        """Start, wait until it is ready, and return what it printed."""
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up", "--json"],
                cwd=ROOT,
                env={**CLEAN, **self.env},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        ready: dict[str, Any] = json.loads(line)
        self.token = ready["adminToken"] or self.token
        wait_until(self._is_ready, seconds=START_SECONDS, what="all parts at work")
        return ready

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop with a signal and return the exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        return self._reap()

    def kill(self) -> None:
        """Kill the supervisor with no chance to say so."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def part(self, name: str) -> int:
        """Return the process id of a part, as the newest log line says."""
        marker = f"{name} started as process "
        lines = [line for line in self.messages() if line.startswith(marker)]
        return int(lines[-1].removeprefix(marker))

    def messages(self) -> list[str]:
        """Return the messages of all log lines so far."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line)["message"] for line in lines if line.startswith("{")]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command on the same data folder."""
        return postwatch(*arguments, env=self.env)

    @contextlib.contextmanager
    def views(self) -> Iterator[Views]:
        """Open the store beside the running service."""
        with open_store(self.data) as store, Views(store) as views:
            yield views

    def last_check(self, public_id: str) -> dict[str, Any] | None:
        """Return the newest recorded check of a monitor."""
        with self.views() as views:
            checks = views.reader.last_checks(public_id)
        return checks[0] if checks else None

    def wait_for_check(self, public_id: str, version: int = 1) -> dict[str, Any]:
        """Wait until a monitor was checked at a version of its configuration or later."""

        def checked() -> dict[str, Any] | None:
            check = self.last_check(public_id)
            return check if check and check["monitor_version"] >= version else None

        found = wait_until(checked, what=f"check of {public_id}")
        assert found is not None
        return found

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def _reap(self) -> int:
        assert self.process is not None
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()
        return status

    def _is_ready(self) -> bool:
        """Return whether the parts are at work, and listen to signals; the API answers already."""
        return self._said("checker ready", "checker started") and self._said(
            "view ", "projections started"
        )

    def _said(self, beginning: str, after: str) -> bool:
        """Return whether a line was logged after the newest one with another beginning."""
        lines = self.messages()
        starts = [number for number, line in enumerate(lines) if line.startswith(after)]
        return bool(starts) and any(line.startswith(beginning) for line in lines[starts[-1] :])


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that ended but was not reaped does not.

    Its threads count: as long as one of them is there, its sockets are open.
    """
    for stat in Path("/proc").glob(f"{pid}/task/*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
                return True
    return False
