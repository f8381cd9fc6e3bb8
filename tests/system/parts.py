"""Parts of a fleet as processes of their own, each with its environment and its log.

A part is killed and frozen as its host would be: with all processes that it has started.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from soak.room import family
from tests.system.service import CLEAN, ROOT, is_alive
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


READY_SECONDS = 40
STOP_SECONDS = 60


class Part:
    """A process of the command `postwatch`. Started by `start`, and again after it ended."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.command = tuple(command)
        self.env = {**CLEAN, "POSTWATCH_LOG_FORMAT": "json", **env}
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the newest start."""
        assert self.process is not None
        return self.process.pid

    def start(self, ready: str = "") -> None:
        """Start it; wait until a new message begins with `ready`, unless that is empty."""
        before = len(self.messages())
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *self.command],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if ready:
            self.wait_for(ready, after=before)

    def wait_for(self, message: str, *, after: int = 0) -> None:
        """Wait until one of the messages behind the first `after` begins like this."""

        def said() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            return any(each.startswith(message) for each in self.messages()[after:])

        wait_until(said, seconds=READY_SECONDS, what=f"{' '.join(self.command)}: {message}")

    def messages(self) -> list[str]:
        """Return the messages of all log lines so far."""
        if not self.log.exists():
            return []
        lines = self.log.read_text().splitlines()
        return [json.loads(line)["message"] for line in lines if line.startswith("{")]

    def freeze(self) -> None:
        """Let it stand still, with its connections and locks."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it with no chance to say so, and wait until nothing of it is left."""
        assert self.process is not None
        pids = family(self.pid)
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not any(map(is_alive, pids)), what=f"end of {self.command}")

    def stop(self) -> int:
        """End it in order, also when it was frozen; return its exit status."""
        assert self.process is not None
        if self.process.poll() is not None:
            return self.process.returncode
        self.thaw()
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


@contextmanager
def stopping(parts: Sequence[Part]) -> Iterator[None]:
    """End the parts that run when the block ends, whatever happens."""
    try:
        yield
    finally:
        for part in parts:
            if part.process is not None:
                part.stop()
