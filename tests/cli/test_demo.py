"""`postwatch demo`: what it shows, and that it leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from rich.console import Console

from cli.demo.command import DemoScreen, demo, next_steps
from cli.demo.monitors import DemoMonitor, demo_monitors
from cli.demo.results import DemoResult, results_table
from cli.demo.servers import (
    PASSWORD,
    DemoServer,
    DemoServers,
    DemoUnavailableError,
    demo_servers,
    stop,
)
from cli.demo.service import DemoService, running_service, wait_until_ready
from service.errors import CommandError
from service.signals import STOP_SIGNALS, StopSignals
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.catalog import Views


END_SECONDS = 60
MARK = "DEMO_OF_THIS_TEST"
PROCESSES = Path("/proc")
TOKEN = "wsm_" + "a" * 43

NOW = datetime(2026, 1, 1, 12, 0, 10, tzinfo=UTC)
UNCHECKED = DemoResult("Fresh", "imap", "127.0.0.1", 1143)
CHECKED = DemoResult(
    "Silent",
    "smtp",
    "127.0.0.1",
    2525,
    status="down",
    category="timeout",
    message="no answer within 2 s",
    total_ms=2000.7,
    checked_at="2026-01-01T12:00:03.250Z",
    checks=4,
)
WARNED = DemoResult(
    "Plain",
    "smtp",
    "127.0.0.1",
    25,
    status="up",
    category="ok",
    message="the server can be used",
    warnings=("everything crossed the wire in clear",),
    total_ms=3.44,
    checked_at="2026-01-01T12:00:10.250Z",
    checks=1,
)


class RunningDemo:
    """The command as a process whose temporary files, and children, all bear one mark."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(folder), MARK: str(folder), "FORCE_COLOR": "1"},
        )

    def family(self, *words: str) -> list[int]:
        """Return the ids of the processes that bear the mark, and whose command has words."""
        return [
            int(path.name)
            for path in PROCESSES.iterdir()
            if path.name.isdecimal() and _bears(path, self.folder, words)
        ]

    def read_until(self, word: str) -> str:
        """Return what was shown up to a word."""
        assert self.process.stdout is not None
        shown = b""
        while word.encode() not in shown:
            some = os.read(self.process.stdout.fileno(), 65536)
            assert some, shown.decode()
            shown += some
        return shown.decode()

    def end(self) -> tuple[str, str]:
        """Wait for the end; return what was printed on stdout and stderr."""
        out, err = self.process.communicate(timeout=END_SECONDS)
        return out.decode(), err.decode()


def _bears(process: Path, mark: Path, words: tuple[str, ...]) -> bool:
    try:
        environment = (process / "environ").read_bytes()
        command = (process / "cmdline").read_bytes()
    except OSError:  # it ended meanwhile, or belongs to another user
        return False
    return f"{MARK}={mark}\0".encode() in environment and all(
        word.encode() in command for word in words
    )


@contextlib.contextmanager
def _running(folder: Path, *arguments: str) -> Iterator[RunningDemo]:
    running = RunningDemo(folder, *arguments)
    with running.process:
        try:
            yield running
        finally:
            running.process.kill()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServers]:
    with demo_servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.mark.system
def test_once_shows_what_each_monitor_is_for_and_removes_everything(
    servers: DemoServers, tmp_path: Path
) -> None:
    with _running(tmp_path, "--once", "--json") as running:
        out, err = running.end()

    assert running.process.returncode == 0
    found = {each["name"]: each["category"] for each in json.loads(out)["monitors"]}
    assert found == {each.name: each.expected.value for each in demo_monitors(servers)}
    assert list(tmp_path.iterdir()) == []
    assert running.family() == []
    assert PASSWORD not in out + err
    assert "wsm_" not in out + err


@pytest.mark.thorough
@pytest.mark.system
def test_once_shows_a_table_as_well(tmp_path: Path) -> None:
    with _running(tmp_path, "--once") as running:
        out, _ = running.end()

    assert running.process.returncode == 0
    assert "Expired certificate" in out
    assert "cert_expired" in out


@pytest.mark.thorough
@pytest.mark.system
def test_once_that_is_stopped_before_its_end_fails(tmp_path: Path) -> None:
    with _running(tmp_path, "--once") as running:
        assert running.process.stderr is not None
        running.process.stderr.readline()
        running.process.send_signal(signal.SIGINT)
        out, _ = running.end()

    assert running.process.returncode == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: not running.family(), what="all processes ended")


@pytest.mark.thorough
@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_a_live_table_until_it_is_stopped(tmp_path: Path, number: int) -> None:
    with _running(tmp_path) as running:
        shown = running.read_until("refused")
        assert len(running.family()) > 3
        running.process.send_signal(number)
        _, err = running.end()

    assert "not checked yet" in shown
    assert "admin token: wsm_" in shown
    assert running.process.returncode == 0
    assert err.endswith("The demo is stopped, its data removed.\n")
    assert list(tmp_path.iterdir()) == []
    assert running.family() == []


@pytest.mark.thorough
@pytest.mark.system
def test_a_service_that_ends_by_itself_ends_the_demo(tmp_path: Path) -> None:
    with _running(tmp_path) as running:
        running.read_until("Monitor")
        (service,) = running.family("cli.main\0up\0")
        os.kill(service, signal.SIGTERM)
        _, err = running.end()

    assert running.process.returncode == 1
    assert "postwatch: the demo's service ended" in err
    assert list(tmp_path.iterdir()) == []
    assert running.family() == []


@pytest.mark.thorough
@pytest.mark.system
def test_a_demo_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    with _running(tmp_path) as running:
        running.read_until("Monitor")
        running.process.kill()

        wait_until(lambda: not running.family(), seconds=END_SECONDS, what="all processes ended")


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_interrupts_the_next_wait_and_nothing_before(number: signal.Signals) -> None:
    done = []
    with StopSignals() as signals:
        signal.raise_signal(number)
        done.append("started")
        with pytest.raises(KeyboardInterrupt), signals.may_interrupt():
            done.append("waited")

    assert done == ["started"]


def test_signals_after_the_first_disturb_nothing() -> None:
    before = [signal.getsignal(each) for each in STOP_SIGNALS]
    with StopSignals() as signals:
        with pytest.raises(KeyboardInterrupt), signals.may_interrupt():
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)

    assert [signal.getsignal(each) for each in STOP_SIGNALS] == before


def test_missing_packages_are_named_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "twisted", None)

    result = CliRunner().invoke(demo, ["--once"])

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "postwatch: the demo needs twisted; install with: pip install 'postwatch[demo]'"
    )


def test_json_without_once_is_refused() -> None:
    result = CliRunner().invoke(demo, ["--json"])

    assert result.exit_code == 2
    assert "--json needs --once" in result.stderr


def test_servers_that_do_not_start_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trustme.py").write_text("raise RuntimeError('this one is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(DemoUnavailableError, match=r"do not start: .*this one is broken"):
        demo_servers(tmp_path).__enter__()


def test_a_service_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(CommandError, match=r"ended: .*POSTWATCH_CA_FILE: there is no file"),
        running_service(tmp_path, tmp_path / "no-ca.pem"),
    ):
        pytest.fail("it started")


@pytest.mark.thorough
@pytest.mark.system
def test_a_monitor_that_the_api_refuses_is_named(servers: DemoServers, tmp_path: Path) -> None:
    impossible = DemoMonitor("Impossible", "smtp", DemoServer(port=70000), {})
    with (
        running_service(tmp_path, servers.ca_file) as service,
        pytest.raises(CommandError, match=r"does not create the monitor 'Impossible': .*400"),
    ):
        service.create(impossible)


def test_a_service_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    answer = tmp_path / "up.json"
    answer.touch()
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            with pytest.raises(CommandError, match=r"not ready after 0\.1 s"):
                wait_until_ready(process, answer, tmp_path / "up.log", seconds=0.1)
        finally:
            stop(process, patience_seconds=END_SECONDS)


def test_checks_that_never_come_are_given_up(views: Views, servers: DemoServers) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        service = DemoService("http://127.0.0.1:9", "wsm_canary", Path(), Path(), process)
        screen = DemoScreen(service, views.reader, {"nobody": demo_monitors(servers)[0]})
        try:
            with pytest.raises(CommandError, match="not every monitor was checked"):
                screen.first_results(seconds=0.1)
        finally:
            stop(process, patience_seconds=END_SECONDS)

    assert "wsm_canary" not in repr(service)


def test_a_process_that_does_not_listen_is_killed() -> None:
    deaf = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
    with subprocess.Popen(deaf, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        stop(process, patience_seconds=0.1)

    assert process.returncode == -signal.SIGKILL


def test_the_servers_take_no_mail(servers: DemoServers) -> None:
    with smtplib.SMTP(servers.smtp_plain.host, servers.smtp_plain.port) as client:
        client.ehlo()

        assert client.mail("spam@demo.example") == (550, b"this server takes no mail")


def test_credentials_are_in_no_repr(servers: DemoServers) -> None:
    assert PASSWORD not in repr(demo_monitors(servers))


def _table(*results: DemoResult, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(results_table(results, NOW, width))
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_wide_table_shows_everything() -> None:
    assert _table(UNCHECKED, CHECKED, WARNED, width=200) == [
        "Monitor Server Status Category Reason Time Age Checks",
        "Fresh imap 127.0.0.1:1143 - - not checked yet - - 0",
        "Silent smtp 127.0.0.1:2525 down timeout no answer within 2 s 2001 ms 6 s 4",
        "Plain smtp 127.0.0.1:25 up ok everything crossed the wire in clear 3.4 ms 0 s 1",
    ]


def test_a_narrow_table_shows_the_server_and_the_reason() -> None:
    assert _table(CHECKED, WARNED, width=80) == [
        "Monitor Server Status Reason",
        "Silent smtp :2525 down no answer within 2 s",
        "Plain smtp :25 up everything crossed the wire in clear",
    ]
    long = replace(CHECKED, name="IMAP, STARTTLS, login", message="words " * 20)
    assert len(_table(long, width=80)) > 2
    assert all(len(line) <= 80 for line in _table(long, width=80))


def test_the_next_steps_name_the_token_and_the_api(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        service = DemoService("http://127.0.0.1:43210", TOKEN, tmp_path, tmp_path, process)

    steps = next_steps(service)

    assert f"admin token: {TOKEN}" in steps
    assert "API=http://127.0.0.1:43210\n" in steps
    assert all(len(line) <= 80 for line in steps.splitlines())


@pytest.mark.thorough
@pytest.mark.system
def test_the_api_listens_where_the_setting_says(
    tmp_path: Path, servers: DemoServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        bind = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("POSTWATCH_BIND", bind)

    with running_service(tmp_path, servers.ca_file) as service:
        assert service.api == f"http://{bind}"


def test_results_are_json_in_camel_case() -> None:
    assert json.loads(json.dumps(WARNED.as_json())) == {
        "name": "Plain",
        "protocol": "smtp",
        "host": "127.0.0.1",
        "port": 25,
        "status": "up",
        "category": "ok",
        "message": "the server can be used",
        "warnings": ["everything crossed the wire in clear"],
        "totalMs": 3.44,
        "checkedAt": "2026-01-01T12:00:10.250Z",
        "checks": 1,
    }
