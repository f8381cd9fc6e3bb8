"""The commands on keys, exports and backups, with a running service and without one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import pytest
from eventsourcing.application import AggregateNotFoundError

from store.keys.key_ring import DIGEST_KEY
from store.store import open_store
from tests.mailservers.processes import free_ports
from tests.places import Place
from tests.store.rich_store import fill, rows
from tests.system.service import CLEAN, ROOT, postwatch
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.system.service import Service


pytestmark = pytest.mark.system

CANARY = "canary-password-5f0c"


def password(number: int) -> str:
    return f"{CANARY}-{number}"


class Writers:
    """Clients that create monitors and change passwords as fast as they are answered."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._port = free_ports(1)[0]
        self._stop = threading.Event()
        self.passwords: dict[str, str] = {}
        self.refused: list[Any] = []
        self._threads = [threading.Thread(target=self._write, args=(each,)) for each in range(2)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self) -> None:
        before = len(self.passwords)
        wait_until(lambda: len(self.passwords) > before + 3, what="more monitors")

    def _write(self, which: int) -> None:
        number = which * 1_000_000
        while not self._stop.is_set():
            number += 2
            login = {"user": "u", "pass": password(number)}
            body = {
                "customerId": 1,
                "name": f"Monitor {number}",
                "hostname": "127.0.0.1",
                "port": self._port,
                "smtpConfig": {"auth": login},
            }
            made = self._service.client("POST", "/api/smtp-monitors", body)
            if made.status != 201:
                self.refused.append(made)
                continue
            path = f"/api/smtp-monitors/{made.body['publicId']}"
            changed = {"user": "u", "pass": password(number + 1)}
            answer = self._service.client("PATCH", path, {"smtpConfig": {"auth": changed}})
            if answer.status == 200:
                self.passwords[made.body["publicId"]] = password(number + 1)
            else:
                self.refused.append(answer)


def stored_passwords(data: Path) -> dict[str, str]:
    """Return the password of every monitor, by a process that has just begun."""
    with open_store(data) as store:
        owners = set(store.keys.store.owners()) - {DIGEST_KEY}
        found = {}
        for owner in owners:
            try:
                monitor_id = UUID(owner)
                monitor: Any = store.monitoring.repository.get(monitor_id)
            except (ValueError, AggregateNotFoundError):
                continue  # a key of the service itself, or of a monitor that was being created
            config = store.monitoring.unsealed(monitor_id, "smtp", monitor.config)
            found[owner] = config["auth"]["pass"]
    return found


@pytest.mark.thorough
def test_the_master_key_changes_under_load_and_nobody_notices(service: Service) -> None:
    parts = {part: service.part(part) for part in ("api", "projections", "checker")}
    with Writers(service) as writers:
        fingerprints = set()
        for _ in range(4):
            writers.wait_for_more()
            done = service.run("keys", "rotate", "--json")
            assert done.returncode == 0, done.stderr
            fingerprints.add(json.loads(done.stdout)["after"])
        for killed in range(6):
            process = subprocess.Popen(
                [Path(sys.executable).with_name("postwatch"), "keys", "rotate"],
                env={**CLEAN, **service.env},
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            _kill_when_at_work(process, service.data, killed)
        writers.wait_for_more()

    assert len(fingerprints) == 4
    assert writers.refused == []
    assert {part: service.part(part) for part in parts} == parts, "no process was started again"
    stored = stored_passwords(service.data)
    assert {key: stored.get(key) for key in writers.passwords} == writers.passwords
    newest = next(reversed(writers.passwords))
    check = service.wait_for_check(newest, 2)
    assert check["outcome"]["category"] == "connect_refused", "the checker could open the password"
    assert CANARY not in service.log.read_text()


def _kill_when_at_work(process: subprocess.Popen[bytes], data: Path, moment: int) -> None:
    """Kill a change of the master key at one of its steps, or let it end if it was faster."""
    keys = data / "keys"
    steps = ("keys.db-journal", "master.key.next.tmp", "master.key.next")

    def begun() -> bool:
        return process.poll() is not None or (keys / steps[moment % len(steps)]).exists()

    wait_until(begun, what="the change begins")
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait(30)


@pytest.mark.thorough
def test_a_backup_and_an_export_of_a_running_service_are_whole(
    service: Service, tmp_path: Path
) -> None:
    key = str(service.data / "keys" / "master.key")
    with Writers(service) as writers:
        writers.wait_for_more()
        acknowledged = dict(writers.passwords)
        exported = service.run("log", "export", str(tmp_path / "export.ndjson"))
        copied = service.run("backup", str(tmp_path / "backup"))
        writers.wait_for_more()
    assert (exported.returncode, copied.returncode) == (0, 0), exported.stderr + copied.stderr
    assert writers.refused == []

    for target, command in {
        "imported": ("log", "import", str(tmp_path / "export.ndjson")),
        "restored": ("restore", str(tmp_path / "backup")),
    }.items():
        env = {"POSTWATCH_DATA": str(tmp_path / target)}
        made = postwatch(*command, "--master-key-file", key, env=env)
        assert made.returncode == 0, made.stderr
        stored = stored_passwords(tmp_path / target)
        assert acknowledged.keys() <= stored.keys()
        assert all(value.startswith(CANARY) for value in stored.values())
        assert postwatch("token", "list", env=env).returncode == 0
    everything = b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".db"
    )
    assert CANARY.encode() not in everything


@pytest.mark.thorough
def test_an_export_goes_through_a_pipe(tmp_path: Path) -> None:
    fill(Place(tmp_path / "data"))
    new = str(tmp_path / "new.key")
    assert postwatch("keys", "new", new, env={}).returncode == 0
    assert postwatch("keys", "new", new, env={}).returncode == 3
    env = {"POSTWATCH_DATA": str(tmp_path / "data")}
    exported = postwatch("log", "export", "--new-master-key-file", new, env=env)
    assert exported.returncode == 0
    assert ", 66 checks, " in exported.stderr

    imported = subprocess.run(
        [Path(sys.executable).with_name("postwatch"), "log", "import", "-"],
        input=exported.stdout,
        env={
            **CLEAN,
            "POSTWATCH_DATA": str(tmp_path / "copy"),
            "POSTWATCH_MASTER_KEY_FILE": new,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert imported.returncode == 0, imported.stderr
    assert rows(Place(tmp_path / "copy")) == rows(Place(tmp_path / "data"))
    assert not (tmp_path / "copy" / "keys" / "master.key").exists()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, an export and a backup of it, and damaged ones."""
    root = tmp_path_factory.mktemp("filled")
    fill(Place(root / "data"))
    env = {"POSTWATCH_DATA": str(root / "data")}
    assert postwatch("log", "export", str(root / "export"), env=env).returncode == 0
    assert postwatch("backup", str(root / "backup"), env=env).returncode == 0
    content = (root / "export").read_bytes()
    (root / "cut").write_bytes(content[: len(content) // 2])
    (root / "newer").write_bytes(content.replace(b'"version":2', b'"version":9', 1))
    (root / "key").write_text(b64encode(os.urandom(32)).decode())
    (root / "empty").mkdir()
    return root


@pytest.mark.quick_cases(2)
@pytest.mark.parametrize(
    ("data", "arguments", "code", "words"),
    [
        ("new", ["log", "import", "cut", "--master-key-file", "data/keys/master.key"], 9, "cut"),
        ("new", ["restore", "backup", "--master-key-file", "key"], 4, "is for master key"),
        ("data", ["backup", "backup"], 3, "is not empty"),
        ("data", ["log", "export", "export"], 1, "exists already"),
        ("new", ["keys", "rotate"], 3, "no Postwatch store"),
        ("new", ["log", "import", "export", "--master-key-file", "key"], 4, "is for master key"),
        ("new", ["log", "import", "newer", "--master-key-file", "data/keys/master.key"], 9, "9"),
        ("new", ["log", "import", "none", "--master-key-file", "data/keys/master.key"], 1, "none"),
        ("new", ["log", "import", "export", "--master-key-file", "no"], 3, "there is no file no"),
        ("new", ["log", "import", "export"], 4, "--master-key-file"),
        ("data", ["log", "import", "export", "--master-key-file", "key"], 3, "is not empty"),
        ("new", ["restore", "empty", "--master-key-file", "key"], 9, "no whole backup"),
        ("new", ["restore", "backup"], 4, "--master-key-file"),
        ("data", ["restore", "backup", "--master-key-file", "data/keys/master.key"], 3, "empty"),
        ("data", ["log", "export", "none/export"], 1, "none/export"),
        ("data", ["log", "export", "--new-master-key-file", "cut"], 4, "32 bytes"),
        ("new", ["log", "export", "x"], 3, "no Postwatch store"),
        ("new", ["backup", "x"], 3, "no Postwatch store"),
        ("new", ["keys", "status"], 3, "no Postwatch store"),
    ],
)
def test_bad_input_is_one_line_a_documented_code_and_nothing_touched(
    filled: Path, data: str, arguments: list[str], code: int, words: str
) -> None:
    before = _everything(filled)
    result = subprocess.run(
        [Path(sys.executable).with_name("postwatch"), *arguments],
        cwd=filled,
        env={**CLEAN, "POSTWATCH_DATA": data},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == code, result.stderr
    (line,) = result.stderr.splitlines()
    assert words in line
    assert (filled / "key").read_text() not in line
    assert _everything(filled) == before


def _everything(root: Path) -> dict[str, bytes]:
    """Return every file, but for who held a lock last and what reading a log makes beside it."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else b""
        for path in root.rglob("*")
        if not path.name.endswith(("-wal", "-shm", ".lock"))
    }


@pytest.mark.thorough
def test_a_master_key_from_the_settings_is_changed_by_them(tmp_path: Path) -> None:
    old, new = (b64encode(os.urandom(32)).decode() for _ in range(2))
    data = {"POSTWATCH_DATA": str(tmp_path / "data")}
    env = {**data, "POSTWATCH_MASTER_KEY": old}
    assert postwatch("init", env=env).returncode == 0
    refused = postwatch("keys", "rotate", env=env)
    assert refused.returncode == 1
    assert "POSTWATCH_NEW_MASTER_KEY" in refused.stderr

    done = postwatch("keys", "rotate", env={**env, "POSTWATCH_NEW_MASTER_KEY": new})

    assert done.returncode == 0, done.stderr
    assert "without POSTWATCH_NEW_MASTER_KEY" in done.stderr
    assert old not in done.stdout + done.stderr
    assert new not in done.stdout + done.stderr
    assert postwatch("keys", "status", env=env).returncode == 4
    shown = postwatch("keys", "status", "--json", env={**data, "POSTWATCH_MASTER_KEY": new})
    assert json.loads(shown.stdout)["dataKeys"] == 0
    assert json.loads(shown.stdout)["from"] == "POSTWATCH_MASTER_KEY"


@pytest.mark.thorough
def test_signed_heads_hold_through_a_new_master_key_a_backup_and_an_export(tmp_path: Path) -> None:
    fill(Place(tmp_path / "data"))
    env = {"POSTWATCH_DATA": str(tmp_path / "data")}
    key = str(tmp_path / "data" / "keys" / "master.key")

    def run(*arguments: str, data: str = "data") -> str:
        done = postwatch(*arguments, env={"POSTWATCH_DATA": str(tmp_path / data)})
        assert done.returncode == 0, done.stderr
        return done.stdout

    public_key = run("log", "public-key")
    run("log", "head", "--now", "monitoring")
    run("keys", "rotate")
    run("backup", str(tmp_path / "backup"))
    run("log", "export", str(tmp_path / "export"))
    assert postwatch("log", "verify", env=env).returncode == 0

    run("restore", str(tmp_path / "backup"), "--master-key-file", key, data="restored")
    run("log", "import", str(tmp_path / "export"), "--master-key-file", key, data="imported")

    assert "and 1 signed heads are as they were" in run("log", "verify", data="restored")
    for target in ("restored", "imported"):
        assert run("log", "public-key", data=target) == public_key
        (head,) = json.loads(run("log", "head", "--now", "--json", "monitoring", data=target))
        (first,) = json.loads(run("log", "head", "--json", "monitoring"))
        assert head["rootHash"] == first["rootHash"]
