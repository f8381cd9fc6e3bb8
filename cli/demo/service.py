"""The demo's own Postwatch: `postwatch up` in a temporary folder, used by its REST API.

It is stopped when the demo ends.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

import orjson

from cli.demo.servers import HOST, stop
from service.errors import CommandError, ExitCode
from service.supervised_part import postwatch_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.demo.monitors import DemoMonitor


_FIRST_CUSTOMER: Final = 1
"""The number of the customer that the first start makes."""

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_REQUEST_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class DemoService:
    """A running Postwatch: where its API and its data are."""

    api: str
    token: str = field(repr=False)
    data: Path
    log: Path
    process: subprocess.Popen[bytes]

    def create(self, monitor: DemoMonitor) -> str:
        """Create a monitor and return its public id. Raises CommandError."""
        request = Request(  # noqa: S310 - our own API on loopback
            self.api + monitor.path,
            data=orjson.dumps(monitor.body(_FIRST_CUSTOMER)),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urlopen(request, timeout=_REQUEST_SECONDS) as response:  # noqa: S310 - see above
                location: str = response.headers["Location"]
        except (URLError, TimeoutError) as error:
            raise CommandError(
                ExitCode.FAILED, f"the API does not create the monitor {monitor.name!r}: {error}"
            ) from None
        return location.rpartition("/")[2]

    def require_running(self) -> None:
        """Raise CommandError when the service ended by itself."""
        if self.process.poll() is not None:
            raise _ended(self.log)


@contextlib.contextmanager
def running_service(folder: Path, ca_file: Path) -> Iterator[DemoService]:
    """Run Postwatch in a folder until the block ends.

    Its probes trust the CA and may go to loopback. Raises CommandError when it does not
    start.
    """
    answer, log = folder / "up.json", folder / "up.log"
    with answer.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
            postwatch_command("up", "--json", "--supervised-by", str(os.getpid())),
            env=_environment(folder, ca_file),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            # Ctrl-C reaches the demo only, which stops the service after it has closed the store.
            start_new_session=True,
        )
    try:
        ready = wait_until_ready(process, answer, log)
        yield DemoService(ready["api"], ready["adminToken"], folder / "data", log, process)
    finally:
        stop(process, _STOP_SECONDS)


def _environment(folder: Path, ca_file: Path) -> dict[str, str]:
    # Other settings of the operator are for another service.
    others = {name: value for name, value in os.environ.items() if not name.startswith("POSTWATCH")}
    return {
        **others,
        "TMPDIR": str(folder),
        "POSTWATCH_DATA": str(folder / "data"),
        "POSTWATCH_BIND": os.environ.get("POSTWATCH_BIND") or f"{HOST}:{_free_port()}",
        "POSTWATCH_WORKERS": "1",
        "POSTWATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
        "POSTWATCH_CA_FILE": str(ca_file),
        "POSTWATCH_LOG_LEVEL": "warning",
        "POSTWATCH_LOG_FORMAT": "text",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(
    process: subprocess.Popen[bytes], answer: Path, log: Path, seconds: float = _START_SECONDS
) -> dict[str, Any]:
    """Return what `postwatch up --json` wrote to a file. Raises CommandError after so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(orjson.JSONDecodeError):
            ready: dict[str, Any] = orjson.loads(answer.read_bytes())
            return ready
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
            raise _ended(log)
    raise CommandError(ExitCode.FAILED, f"the demo's service is not ready after {seconds:g} s")


def _ended(log: Path) -> CommandError:
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    reason = lines[-1] if lines else "its log is empty"
    return CommandError(ExitCode.FAILED, f"the demo's service ended: {reason}")
