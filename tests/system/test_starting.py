"""Starting, stopping, starting again, and starts that are refused."""

from __future__ import annotations

import os
import signal
import socket
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from tests.system.service import Client, Service, is_alive, postwatch
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.system


def test_first_start_shows_a_token_once_and_a_second_start_goes_on_where_it_was(
    tmp_path: Path,
) -> None:
    service = Service(tmp_path / "data")
    with service:
        created = service.client.create("smtp", name="Mail", hostname="localhost", port=1)
        assert service.token.startswith("wsm_")
    with service:
        answer = service.client("GET", f"/api/smtp-monitors/{created['publicId']}")
        assert answer.body["id"] == created["id"] == 1
    third = Service(tmp_path / "data")
    try:
        assert third.start()["adminToken"] is None
    finally:
        third.stop()


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_process_cleanly(tmp_path: Path, how: signal.Signals) -> None:
    service = Service(tmp_path / "data")
    with service:
        parts = [service.part(name) for name in ("api", "projections", "checker", "alerting")]
        assert service.stop(how) == 0
    assert not any(is_alive(part) for part in parts)
    assert service.messages().count("SIGTERM: finishing what is running") == len(parts)


def test_a_second_start_on_the_same_folder_refuses_and_says_who_holds_it(service: Service) -> None:
    assert service.process is not None
    second = postwatch("up", env={**service.env, "POSTWATCH_BIND": "127.0.0.1:1"})
    assert second.returncode == 5
    assert f"process {service.process.pid} " in second.stderr
    assert "POSTWATCH_DATA" in second.stderr


@pytest.mark.thorough
@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("part", [["projections", "run"], ["checker"]])
def test_a_second_process_of_a_part_refuses(service: Service, part: list[str]) -> None:
    second = service.run(*part)
    assert second.returncode == 5
    assert f"process {service.part(part[0])} " in second.stderr


def test_a_killed_supervisor_takes_its_parts_with_it_and_a_new_start_works(tmp_path: Path) -> None:
    service = Service(tmp_path / "data")
    with service:
        parts = [service.part(name) for name in ("api", "projections", "checker", "alerting")]
        service.kill()
        service.start()
        assert service.client("GET", "/api/smtp-monitors").status == 200
        wait_until(lambda: not any(is_alive(part) for part in parts), what="parts end")


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = {"POSTWATCH_DATA": str(tmp_path / "data"), "POSTWATCH_BIND": f"127.0.0.1:{port}"}
        for command in (["up"], ["api"]):
            postwatch("init", env=env)
            result = postwatch(*command, env=env)
            assert result.returncode == 6
            (line,) = result.stderr.splitlines()
            assert str(port) in line
            assert "POSTWATCH_BIND" in line


def test_a_data_folder_that_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    result = postwatch("up", env={"POSTWATCH_DATA": str(tmp_path / "file" / "data")})
    assert result.returncode == 3
    (line,) = result.stderr.splitlines()
    assert "POSTWATCH_DATA" in line


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_an_unwritable_data_folder_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    result = postwatch("up", env={"POSTWATCH_DATA": str(tmp_path / "locked" / "data")})
    assert result.returncode == 3
    assert len(result.stderr.splitlines()) == 1


def test_a_wrong_master_key_is_said_in_one_line_and_never_shown(tmp_path: Path) -> None:
    env = {"POSTWATCH_DATA": str(tmp_path / "data")}
    assert postwatch("init", env=env).returncode == 0
    key = b64encode(b"k" * 32).decode()
    for command in (["up"], ["api"], ["checker"], ["token", "list"]):
        result = postwatch(*command, env={**env, "POSTWATCH_MASTER_KEY": key})
        assert result.returncode == 4, result.stderr
        (line,) = result.stderr.splitlines()
        assert "POSTWATCH_MASTER_KEY" in line
        assert key not in line


def test_every_wrong_setting_is_named_at_once(tmp_path: Path) -> None:
    result = postwatch(
        "up",
        env={
            "POSTWATCH_DATA": str(tmp_path),
            "POSTWATCH_BIND": "nowhere",
            "POSTWATCH_WORKERS": "many",
            "POSTWATCH_MASTER_KEY": "c2VjcmV0LWNhbmFyeQ==",
            "POSTWATCH_ALLOWED_NETWORKS": "10.0.0.0/99",
            "POSTWATCH_COUNTRY": "XX",
            "POSTWATCH_DATABASE_URL": "mysql://somewhere",
        },
    )
    assert result.returncode == 7
    for name in ("BIND", "WORKERS", "MASTER_KEY", "ALLOWED_NETWORKS", "COUNTRY", "DATABASE_URL"):
        assert f"POSTWATCH_{name}: " in result.stderr
    assert "canary" not in result.stderr


def test_commands_without_a_store_say_how_to_make_one(tmp_path: Path) -> None:
    result = postwatch("token", "list", env={"POSTWATCH_DATA": str(tmp_path / "none")})
    assert result.returncode == 3
    assert "postwatch up" in result.stderr
    assert not (tmp_path / "none").exists()


def test_a_token_made_and_revoked_by_command_counts_at_once_on_every_worker(
    service: Service,
) -> None:
    made = service.run("token", "create", "--name", "Reader", "--role", "readonly")
    client = Client(service.port, made.stdout.strip())
    assert [client("GET", "/api/smtp-monitors").status for _ in range(8)] == [200] * 8
    assert service.run("token", "revoke", "2").returncode == 0
    assert [client("GET", "/api/smtp-monitors").status for _ in range(8)] == [401] * 8
    assert service.run("token", "revoke", "2").returncode == 1
