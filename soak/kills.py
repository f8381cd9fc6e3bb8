"""Processes are killed with `kill -9` while clients write and servers are checked."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final
from uuid import UUID

from soak.judge import judge
from soak.ledger import CREATED, OK, Clients, Ledger
from soak.room import family
from store.store import open_store
from store.transfer.backup import MANIFEST
from tests.domain.given import TESTER, check_of
from tests.system.service import CLEAN, ROOT, is_alive
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from domain.monitor import Monitor
    from soak.judge import Judged
    from tests.system.service import Service


COMMANDS: Final = {
    "rebuild": ("projections", "rebuild"),
    "archive": ("checks", "archive", "--older-than", "1h"),
    "rotate": ("keys", "rotate"),
    "verify": ("log", "verify"),
}
"""Commands that may be killed at any moment, and given again."""

PARTS: Final = ("worker", "api", "projections", "checker")
CARRIERS: Final = ("backup", "export")
"""What carries a store elsewhere: the making is killed, and the taking up."""

_MONITOR: Final = {"hostname": "127.0.0.1", "status": "paused"}


@dataclass
class Copy:
    """A whole backup or export, and what had been acknowledged when it was begun."""

    path: Path
    key: Path
    ledger: Ledger


@dataclass
class KillLoop:
    """Kills, one after the other. `work` is a folder for copies."""

    service: Service
    clients: Clients
    work: Path
    random: Random
    kills: Counter[str] = field(default_factory=Counter)
    at_work: Counter[str] = field(default_factory=Counter)
    """Kills of commands that had not ended by themselves yet."""
    durations: dict[str, float] = field(default_factory=dict)
    copies_judged: int = 0

    def kill(self, what: str) -> None:
        """Kill one sort of process, and wait until clients are answered again."""
        if what in PARTS:
            self._kill_part(what)
        elif what == "up":
            self._kill_everything()
        elif what in COMMANDS:
            self._kill_command(what, COMMANDS[what], {})
        else:
            self._kill_carrier(what)
        self.kills[what] += 1
        self.clients.wait_for_more()

    def _kill_part(self, what: str) -> None:
        part = "api" if what == "worker" else what
        pid = self.service.part(part)
        if what == "worker":
            workers = family(pid)[1:]
            _kill(self.random.choice(workers) if workers else pid)
            return
        _kill(pid)
        wait_until(lambda: self.service.part(part) != pid, seconds=60, what=f"{part} again")

    def _kill_everything(self) -> None:
        """Kill the supervisor, whose parts then end by themselves, or all of them at once."""
        assert self.service.process is not None
        pids = family(self.service.process.pid)
        self.service.kill()
        if self.random.random() < 0.5:
            for pid in pids[1:]:
                _kill(pid)
        wait_until(lambda: not any(map(is_alive, pids)), seconds=60, what="all parts ended")
        self.service.start()

    def _kill_command(self, name: str, command: Sequence[str], env: dict[str, str]) -> bool:
        """Kill a command at any moment of the time that it takes; return whether it was at work."""
        if name not in self.durations:
            begun = time.monotonic()
            self._run(command, env)
            self.durations[name] = time.monotonic() - begun
        with _start(command, self.service.env | env) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.random.uniform(0.3, 1.0) * self.durations[name])
            was_at_work = process.poll() is None
            process.kill()
        self.at_work[name] += was_at_work
        return was_at_work

    def _kill_carrier(self, what: str) -> None:
        """Kill the making of a copy, make it, kill the taking up, take it up, and judge that."""
        number = self.kills[what]
        made = self.work / f"{what}-{number}"
        command = ("backup", str(made)) if what == "backup" else ("log", "export", str(made))
        self.durations.setdefault(what, 2.0)
        self._kill_command(what, command, {})
        if made.is_file():
            made.unlink()
        elif (made / MANIFEST).exists():
            # It was done in its last moment: what is whole is not overwritten.
            shutil.rmtree(made)
        copied = self._copy(command, made)
        data = self.work / f"{what}-{number}-taken"
        take = ("restore", str(made)) if what == "backup" else ("log", "import", str(made))
        take = (*take, "--master-key-file", str(copied.key))
        self.durations.setdefault(f"taking a {what}", 2.0)
        env = {"POSTWATCH_DATA": str(data)}
        if self._kill_command(f"taking a {what}", take, env) or not (data / "logs").exists():
            self._run_unless_done(take, env, data)
        judge(data, copied.ledger)
        self.copies_judged += 1

    def _copy(self, command: Sequence[str], made: Path) -> Copy:
        """Make a whole copy. The master key is in use as long as nobody changes it meanwhile."""
        ledger = self.clients.ledger.so_far()
        self._run(command, {})
        key = made.with_name(f"{made.name}.key")
        key.write_bytes((self.service.data / "keys" / "master.key").read_bytes())
        return Copy(made, key, ledger)

    def _run_unless_done(self, take: Sequence[str], env: dict[str, str], data: Path) -> None:
        """Take a copy up after a kill. One that was done in its last moment is refused."""
        done = _end(take, self.service.env | env)
        assert done.returncode in {0, 3}, done.stderr
        if done.returncode:
            assert "is not empty" in done.stderr
            assert (data / "logs" / "monitoring.db").exists()

    def _run(self, command: Sequence[str], env: dict[str, str]) -> None:
        done = _end(command, self.service.env | env)
        assert done.returncode == 0, (command, done.stderr)


def play_kills(
    service: Service,
    port: int,
    work: Path,
    *,
    rounds: Callable[[Random, KillLoop], Sequence[str]],
    seed: int,
) -> tuple[KillLoop, Judged]:
    """Kill processes of the sorts that `rounds` names, until it names none; judge what is left."""
    random = Random(seed)  # noqa: S311 - chance, no secret
    with Clients(service, port) as clients:
        loop = KillLoop(service, clients, work, random)
        clients.wait_for_more()
        while sorts := rounds(random, loop):
            for what in sorts:
                loop.kill(what)
        clients.wait_for_more()
    assert clients.ledger.statuses.keys() <= {OK, CREATED}, clients.ledger.statuses
    service.stop()
    verified = service.run("log", "verify")
    assert verified.returncode == 0, verified.stdout
    return loop, judge(service.data, clients.ledger)


def add_old_checks(service: Service, number: int) -> None:
    """Give the service checks of long ago, so that commands have something to do."""
    made = service.client.create("smtp", name="Old", **_MONITOR)
    with open_store(service.data) as store:
        monitor: Monitor = store.monitoring.repository.get(UUID(made["publicId"]))
        for first in range(0, number, 500):
            checks = [check_of(monitor, minute) for minute in range(first, first + 500)]
            store.checks.record(checks, location="old", actor=TESTER)


def _start(command: Sequence[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *command],
        cwd=ROOT,
        env={**CLEAN, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _end(command: Sequence[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *command],
        cwd=ROOT,
        env={**CLEAN, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
