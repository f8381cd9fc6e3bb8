"""The compose file: hardened, in order, and its commands run as they stand there.

No container engine is needed: each service is a process with the command and the
environment of the file, on loopback.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from base64 import b64encode
from contextlib import ExitStack
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.mailservers.processes import free_ports, running
from tests.postgres_server import find_binaries, postgres_server
from tests.system.parts import Part, stopping
from tests.system.service import ROOT, Client, postwatch
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
PARTS: Final = {
    "migrate": ["postwatch", "migrate"],
    "init": ["postwatch", "init"],
    "api": ["postwatch", "api"],
    "projections": ["postwatch", "projections", "run"],
    "alerting": ["postwatch", "alerting"],
    "checker-nbg": ["postwatch", "checker"],
    "checker-hel": ["postwatch", "checker"],
}
TOKEN: Final = "wsm_" + sha256(b"a token of tests").hexdigest()
SERVERS: Final = re.compile(r"server-template \S+ \d+ \S+ (?P<options>.*?) resolvers .*")


def test_it_runs_each_part_once_and_two_replicas_of_what_may_be_many() -> None:
    commands = {name: each["command"] for name, each in SERVICES.items() if "command" in each}

    assert commands == PARTS
    many = ("api", "projections", "alerting")
    assert {name: SERVICES[name]["deploy"]["replicas"] for name in many} == dict.fromkeys(many, 2)
    assert set(SERVICES) - set(PARTS) == {"database", "proxy"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_hardened(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] not in ("root", "0", "0:0")
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)


def test_each_service_reaches_only_what_it_needs() -> None:
    networks = {name: set(each["networks"]) for name, each in SERVICES.items()}
    ways_out = {
        name for name, each in COMPOSE["networks"].items() if not (each or {}).get("internal")
    }

    assert ways_out == {"edge", "outside"}
    assert {name for name, each in networks.items() if "outside" in each} == {
        "alerting",
        "checker-nbg",
        "checker-hel",
    }
    assert networks["proxy"] == {"front", "edge"}
    assert networks["api"] == {"data", "front"}
    assert networks["database"] == networks["migrate"] == networks["init"] == {"data"}
    assert networks["projections"] == {"data"}


def test_the_master_key_is_only_where_the_store_is_opened() -> None:
    holders = {name for name, each in SERVICES.items() if "master_key" in each.get("secrets", [])}

    assert holders == set(PARTS) - {"migrate"}


def test_secrets_are_in_no_commit_and_no_image() -> None:
    assert "secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "secrets" in (ROOT / ".dockerignore").read_text().splitlines()


def test_the_image_has_every_package_of_the_product() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"][
        "targets"
    ]["wheel"]["packages"]
    copied = (ROOT / "Dockerfile").read_text().splitlines()

    assert [each for each in packages if f"COPY {each} {each}" not in copied] == []


@pytest.mark.system
def test_the_role_of_the_parts_owns_its_database_and_is_no_superuser(tmp_path: Path) -> None:
    (tmp_path / "database_password").write_text("it's a \\ password\n")
    # The superuser of the test's server has the name of the role already.
    script = COMPOSE["configs"]["database_role"]["content"].replace("postwatch", "fleet")
    with postgres_server() as server:
        other = server.create_database("other")
        given = conninfo_to_dict(other)
        place = {"host": str(given["host"]), "port": str(given["port"])}
        with psycopg.connect(other) as admin:
            env = {
                "PATH": f"{find_binaries()}:{os.environ['PATH']}",
                "PGHOST": place["host"],
                "PGPORT": place["port"],
                "PGPASSWORD": str(given.get("password", "")),
                "POSTGRES_USER": str(given["user"]),
            }
            done = subprocess.run(
                ["sh", "-c", _here(script.replace("$$", "$"), tmp_path)],
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == 0, done.stderr
            found = admin.execute(
                "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'fleet'"
            ).fetchone()
        password = "it's a \\ password"
        url = make_conninfo(**place, user="fleet", password=password, dbname="fleet")
        with psycopg.connect(url) as own:
            own.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")

    assert found == (False, False, False)


def test_secrets_are_files_and_nothing_secret_stands_in_it() -> None:
    named = {each for service in SERVICES.values() for each in service.get("secrets", [])}
    assert named == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if any(word in name for word in ("URL", "KEY", "TOKEN", "PASSWORD")):
                assert name.endswith("_FILE")
                assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_each_waits_for_what_it_needs() -> None:
    waits = {
        name: {other: how["condition"] for other, how in each.get("depends_on", {}).items()}
        for name, each in SERVICES.items()
    }
    done, healthy = "service_completed_successfully", "service_healthy"

    assert waits["migrate"] == {"database": healthy}
    assert waits["init"] == {"migrate": done}
    for name in ("api", "projections", "checker-nbg", "checker-hel"):
        assert waits[name] == {"init": done}
    assert waits["proxy"] == {"api": healthy}
    assert "healthcheck" in SERVICES["database"]
    assert "healthcheck" in SERVICES["api"]
    assert SERVICES["database"]["volumes"]


@pytest.mark.thorough
@pytest.mark.system
@pytest.mark.proxy
def test_its_services_work_together_and_one_replica_of_the_api_is_enough(tmp_path: Path) -> None:
    if shutil.which("haproxy") is None:
        pytest.skip("there is no HAProxy on this machine")
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server())
        env = _environment(tmp_path, server.create_database("fleet"))
        for name in ("migrate", "init"):
            done = postwatch(*PARTS[name][1:], env=env(name))
            assert done.returncode == 0, done.stderr
        ports = free_ports(2)
        apis = [_part("api", tmp_path, env, port) for port in ports]
        others = [
            _part(name, tmp_path, env) for name in ("projections", "checker-nbg", "checker-hel")
        ]
        stack.enter_context(stopping([*apis, *others]))
        for api in apis:
            api.start("api: listening on")
        for other in others:
            other.start()
        proxy_port = free_ports(1)[0]
        command = ["haproxy", "-f", str(_proxy_file(tmp_path, proxy_port, ports))]
        stack.enter_context(running(command, [proxy_port], tmp_path / "proxy.log"))
        client = Client(proxy_port, TOKEN)

        made = client.create("smtp", name="Loopback", hostname="localhost", port=free_ports(1)[0])
        path = f"/api/smtp-monitors/{made['publicId']}/check-history"
        found = wait_until(lambda: _locations(client, path) == {"de-nbg", "fi-hel"}, seconds=30)
        assert found
        apis[0].kill()
        for number in range(10):
            assert client("GET", "/api/organization").status == 200
            _create(client, number)
        assert client("GET", "/api/smtp-monitors").body["total"] == 11


def _create(client: Client, number: int) -> None:
    """Create a monitor as a careful client does.

    The proxy sends a POST once: if the replica that gets it dies just then, the client sees
    502 and sends it again, with the same key.
    """
    body = {"customerId": 1, "name": f"Server {number}", "hostname": "mail.example.com"}
    key = {"Idempotency-Key": f"server-{number}"}

    def created() -> bool:
        answer = client("POST", "/api/smtp-monitors", body, **key)
        assert answer.status in (201, 502), answer
        return answer.status == 201

    wait_until(created, seconds=30)


def _locations(client: Client, path: str) -> set[str]:
    answer = client("GET", path)
    assert answer.status == 200, answer
    return {each["locationCode"] for each in answer.body["data"]}


def _environment(folder: Path, url: str) -> Any:  # noqa: ANN401 - a function of a service's name
    """Return what gives the environment of a service, with its secrets in files."""
    secrets = {
        "database_url": url,
        "master_key": b64encode(bytes(range(32))).decode(),
        "admin_token": TOKEN,
    }
    for name, secret in secrets.items():
        (folder / name).write_text(secret + "\n")

    def of(service: str) -> dict[str, str]:
        given: dict[str, str] = SERVICES[service]["environment"]
        return {
            **{name: _here(value, folder) for name, value in given.items()},
            "POSTWATCH_DATA": str(folder / service),
            "POSTWATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
        }

    return of


def _here(value: str, folder: Path) -> str:
    return value.replace("/run/secrets", str(folder))


def _part(name: str, folder: Path, env: Any, port: int | None = None) -> Part:  # noqa: ANN401 - as above
    settings = env(name)
    if port is not None:
        settings["POSTWATCH_BIND"] = f"127.0.0.1:{port}"
        settings["POSTWATCH_DATA"] += f"-{port}"
    return Part(PARTS[name][1:], settings, folder / f"{name}-{port}.log")


def _proxy_file(folder: Path, port: int, servers: list[int]) -> Path:
    """Write the proxy's own configuration, with the addresses of this test in it."""
    text = COMPOSE["configs"]["proxy"]["content"]
    template = SERVERS.search(text)
    assert template is not None
    listed = [
        f"server api{number} 127.0.0.1:{each} {template['options']}"
        for number, each in enumerate(servers)
    ]
    text = SERVERS.sub("\n  ".join(listed), text).replace("bind :8025", f"bind 127.0.0.1:{port}")
    path = folder / "haproxy.cfg"
    path.write_text(text)
    return path
