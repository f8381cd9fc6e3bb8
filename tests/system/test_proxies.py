"""The proxies of docs/proxies.md: each example is run as it stands, and says who the client is."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import ssl
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest
from trustme import CA

from tests.mailservers.processes import free_ports, running
from tests.system.service import ROOT, Service
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


CLIENT: Final = "127.0.0.2"
"""All of 127.0.0.0/8 is this machine: so the client has another address than the proxy."""

LIE: Final = "203.0.113.9"
_EXAMPLES: Final = re.compile(
    r"^(nginx|HAProxy|Caddy)\b.*?\n```\n(.*?)```", re.MULTILINE | re.DOTALL
)


def example(name: str) -> str:
    """Return the configuration that the documents show for a proxy."""
    found: dict[str, str] = dict(_EXAMPLES.findall((ROOT / "docs" / "proxies.md").read_text()))
    assert set(found) == {"nginx", "HAProxy", "Caddy"}
    return found[name]


def replaced(text: str, **by: str) -> str:
    """Return an example with addresses and files of this machine."""
    for old, new in by.items():
        assert old in text, f"the example has no {old}"
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, backend: str) -> list[str]:
    """Write a configuration of nginx; return the command."""
    text = replaced(
        example("nginx"),
        **{
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "127.0.0.1:8025": backend,
            "/etc/nginx/api.pem": f"{folder}/both.pem",
            "/etc/nginx/api.key": f"{folder}/both.pem",
        },
    )
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{text}}}\n"
    )
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def haproxy(folder: Path, port: int, backend: str) -> list[str]:
    """Write a configuration of HAProxy; return the command."""
    text = replaced(
        example("HAProxy"),
        **{
            "bind :443": f"bind 127.0.0.1:{port}",
            "127.0.0.1:8025": backend,
            "/etc/haproxy/api.pem": f"{folder}/both.pem",
        },
    )
    (folder / "haproxy.cfg").write_text(text)
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


def caddy(folder: Path, port: int, backend: str) -> list[str]:
    """Write a configuration of Caddy with a certificate of ours; return the command."""
    text = replaced(
        example("Caddy"),
        **{
            "postwatch.example.com {": f"https://127.0.0.1:{port} {{\n"
            f"    tls {folder}/both.pem {folder}/both.pem",
            "127.0.0.1:8025": backend,
        },
    )
    options = "{\n    admin off\n    auto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(options + text)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    data = tmp_path_factory.mktemp("behind") / "data"
    with Service(data, POSTWATCH_TRUSTED_PROXIES="127.0.0.1/32") as running_service:
        yield running_service


@pytest.mark.system
@pytest.mark.thorough
@pytest.mark.parametrize(
    "configure",
    [
        pytest.param(nginx, id="nginx", marks=pytest.mark.web_proxy),
        pytest.param(haproxy, id="haproxy", marks=pytest.mark.proxy),
        pytest.param(caddy, id="caddy", marks=pytest.mark.web_proxy),
    ],
)
def test_the_documented_proxy_serves_and_says_who_the_client_is(
    configure: Callable[[Path, int, str], list[str]],
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_ports(1)[0]
    command = configure(tmp_path, port, f"127.0.0.1:{service.port}")
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    monkeypatch.setenv("HOME", str(tmp_path))
    authority = CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def ask(method: str, path: str, body: str | None = None) -> tuple[int, str]:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=20, context=context, source_address=(CLIENT, 0)
        )
        headers = {
            "Authorization": f"Bearer {service.token}",
            "Content-Type": "application/json",
            "X-Forwarded-For": LIE,
        }
        with closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers.get("X-Request-Id", "")

    with running([program, *command[1:]], [port], tmp_path / "log"):
        assert ask("GET", "/healthz")[0] == 200
        status, request_id = ask("POST", "/api/customers", '{"name": "Behind a proxy"}')
        too_large, _ = ask("POST", "/api/customers", " " * (64 * 1024 + 1))

    assert (status, too_large) == (201, 413)
    assert wait_until(lambda: clients(service, request_id)) == [CLIENT]


def clients(service: Service, request_id: str) -> list[str]:
    """Return the clients of a request, as the log names them."""
    lines = [json.loads(each) for each in service.log.read_text().splitlines() if each[:1] == "{"]
    return [each["client"] for each in lines if each.get("request_id") == request_id]
