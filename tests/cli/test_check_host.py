"""`postwatch check HOST`: the usual ports of one host, in one table."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from cli.demo.servers import DemoServers, demo_servers
from cli.inspect.check_host import PORTS, print_ports, probe_ports
from mail.prober import Prober
from mail.protocols import PROTOCOLS
from tests.mailservers.processes import free_ports
from tests.system.service import postwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.inspect.check_host import Port, PortFound


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServers]:
    with demo_servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


def probed(servers: DemoServers, *ports: Port, host: str = "127.0.0.1") -> list[PortFound]:
    prober = Prober.from_settings(("127.0.0.0/8",), (), servers.ca_file)
    return trio.run(partial(probe_ports, prober, host, ports, timeout_seconds=20))


def shown(found: list[PortFound], capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_ports("mx.example", found, {"cert_expires_soon"}, as_json=False)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_ports_are_those_of_the_protocols() -> None:
    assert {port for port, *_ in PORTS} == {25, 465, 587, 143, 993, 110, 995, 4190}
    usual = {(name, each.default_port("never")) for name, each in PROTOCOLS.items()}
    usual |= {(name, each.default_port("implicit")) for name, each in PROTOCOLS.items()}
    assert {(protocol, port) for port, protocol, _ in PORTS} >= usual


def test_each_port_has_a_line_and_the_first_one_says_what_cannot_be_used(
    servers: DemoServers, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = free_ports(1)[0]
    good, expired = servers.smtp_starttls.port, servers.smtp_expired.port
    found = probed(
        servers, (good, "smtp", "auto"), (expired, "smtp", "auto"), (closed, "imap", "auto")
    )

    first, _, heading, *lines = shown(found, capsys)

    assert first == f"DOWN: mx.example answers on 2 of 3 ports, and cannot be used on {expired}"
    assert heading == "Port Protocol TLS Certificate Time Verdict"
    assert lines[0].startswith(f"{good} smtp TLSv1.3, STARTTLS ")
    assert " days left " in lines[0]
    assert lines[0].partition(" ms ")[2].startswith("up")
    assert lines[1].startswith(f"{expired} smtp TLSv1.3, STARTTLS cert_expired ")
    assert "down, cert_expired: " in lines[1]
    assert lines[2] == f"{closed} imap closed"


def test_all_is_well_or_nothing_answers(
    servers: DemoServers, capsys: pytest.CaptureFixture[str]
) -> None:
    port: Port = (servers.smtp_starttls.port, "smtp", "auto")

    assert shown(probed(servers, port), capsys)[0] == (
        "UP: mx.example answers on 1 of 1 ports, and can be used on each"
    )
    closed = probed(servers, (free_ports(1)[0], "pop3", "implicit"))
    assert shown(closed, capsys)[0] == "DOWN: mx.example answers on none of 1 ports"
    nowhere = probed(servers, port, host="nowhere.invalid")
    assert shown(nowhere, capsys)[0].startswith("DOWN: mx.example: ")


@pytest.mark.system
def test_the_command_tries_all_ports_and_ends_with_2_when_none_answers() -> None:
    result = postwatch("check", "127.0.0.77", "--json", env={})

    found: list[dict[str, Any]] = json.loads(result.stdout)
    assert result.returncode == 2
    assert [each["port"] for each in found] == [port for port, *_ in PORTS]
    assert {each["category"] for each in found} == {"connect_refused"}
