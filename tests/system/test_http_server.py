"""The HTTP server itself, without a proxy: deadlines, limits, errors of its own, TLS."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from trustme import CA

from tests.system.service import Service, postwatch
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = [pytest.mark.system]

LIMIT: Final = 5
SECURITY: Final = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
HEALTH: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
HOST: Final = b"Host: localhost\r\n"
REFUSED: Final = {
    "no Host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "no HTTP": (b"hello\r\n\r\n", 400),
    "both lengths": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "two lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n" * 2 + b"\r\n", 400),
    "no number": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: abc\r\n\r\n", 400),
    "endless length": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        400,
    ),
    "compressed, too": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "large header": (
        b"GET / HTTP/1.1\r\n" + HOST + (b"X-A: " + b"a" * 6000 + b"\r\n") * 12 + b"\r\n",
        431,
    ),
    "header without end": (
        b"GET / HTTP/1.1\r\n" + HOST + (b"X-A: " + b"a" * 6000 + b"\r\n") * 12,
        431,
    ),
    "folded header": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\r\n b\r\n\r\n", 400),
    "NUL": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: \0\r\n\r\n", 400),
    "long URL": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "huge header": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\n" + HOST + b"X-A: a\r\n" * 200 + b"\r\n", 431),
    "unknown coding": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: x\r\n\r\n", 501),
    "bad chunk": (
        b"POST /api/customers HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        400,
    ),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one worker, shared by the tests of this module."""
    folder = tmp_path_factory.mktemp("server")
    env = {"POSTWATCH_WORKERS": "1", "POSTWATCH_CONNECTIONS_PER_ADDRESS": str(LIMIT)}
    with Service(folder / "data", **env) as service:
        yield service


@contextlib.contextmanager
def connected(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        yield connection


def receive(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of an answer after which the server closes."""
    data = b""
    while piece := connection.recv(65536):
        data += piece
    header, _, body = data.partition(b"\r\n\r\n")
    first, *lines = header.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split(" ")[1]), headers, body


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
def test_an_error_of_the_server_has_the_form_of_all_others(
    running: Service, data: bytes, status: int
) -> None:
    with connected(running) as connection:
        connection.sendall(data)
        answered, headers, body = receive(connection)

    assert answered == status, body
    assert {name: headers.get(name) for name in SECURITY} == SECURITY
    assert (headers["content-type"], headers["connection"]) == ("application/json", "close")
    assert "server" not in headers
    error = json.loads(body)
    assert set(error) == {"statusCode", "statusMessage", "message", "requestId"}
    assert (error["statusCode"], error["requestId"]) == (status, headers["x-request-id"])
    lines = wait_until(lambda: logged(running, error["requestId"]))
    assert lines[0]["client"] == "127.0.0.1"
    assert lines[0]["status"] == status


def logged(service: Service, request_id: str) -> list[dict[str, Any]]:
    lines = [json.loads(each) for each in service.log.read_text().splitlines() if each[:1] == "{"]
    return [each for each in lines if each.get("request_id") == request_id]


def test_a_header_that_does_not_come_ends_with_408(running: Service) -> None:
    with connected(running) as connection, connected(running) as silent:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: lo")
        begun = time.monotonic()
        status, headers, body = receive(connection)
        assert 8 < time.monotonic() - begun < 15
        assert silent.recv(1) == b"", "a silent connection ends, too, and gets no answer"

    assert (status, json.loads(body)["statusCode"]) == (408, 408)
    assert headers["connection"] == "close"


@pytest.mark.thorough
def test_the_next_header_on_a_connection_has_a_deadline_too(running: Service) -> None:
    with connected(running) as connection:
        connection.sendall(HEALTH)
        assert b'"ok"' in connection.recv(65536)
        connection.sendall(b"GET /healthz HT")
        assert receive(connection)[0] == 408


def test_a_body_that_comes_too_slowly_ends_with_408(running: Service) -> None:
    header = (
        f"POST /api/customers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n"
        f"Content-Type: application/json\r\nAuthorization: Bearer {running.token}\r\n\r\n"
    )
    with connected(running) as connection:
        connection.sendall(header.encode() + b"{")
        status, headers, body = receive(connection)

    assert status == 408, body
    assert json.loads(body)["message"].startswith("The body came too slowly")
    assert {name: headers.get(name) for name in SECURITY} == SECURITY


def test_a_body_without_a_token_is_refused_before_it_comes(running: Service) -> None:
    with connected(running) as connection:
        connection.sendall(
            b"POST /api/customers HTTP/1.1\r\n" + HOST + b"Content-Length: 500\r\n\r\n"
        )
        assert receive(connection)[0] == 401


def test_a_client_that_leaves_within_its_body_is_no_fault_of_the_service(running: Service) -> None:
    request_id = "left-within-its-body"
    header = (
        f"POST /api/customers HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n"
        f"X-Request-Id: {request_id}\r\nAuthorization: Bearer {running.token}\r\n\r\n"
    )
    with connected(running) as connection:
        connection.sendall(header.encode() + b"{")
    lines = wait_until(lambda: logged(running, request_id))

    assert [each["status"] for each in lines] == [400]
    # The next request is answered after whatever the server still does with this one.
    with connected(running) as connection:
        connection.sendall(HEALTH)
        assert b'"ok"' in connection.recv(65536)
    assert '"status":500' not in running.log.read_text().replace(" ", "")


def test_a_chunked_body_is_read(running: Service) -> None:
    body = b'{"name": "Chunked"}'
    header = (
        f"POST /api/customers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        f"Content-Type: application/json\r\nAuthorization: Bearer {running.token}\r\n"
        "Connection: close\r\n\r\n"
    )
    with connected(running) as connection:
        connection.sendall(header.encode())
        for byte in body:
            connection.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        status, _, answer = receive(connection)

    assert status == 201, answer
    assert json.loads(answer)["customer"]["name"] == "Chunked"


def test_a_chunked_body_above_64_kib_is_413(running: Service) -> None:
    header = (
        f"POST /api/customers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        f"Content-Type: application/json\r\nAuthorization: Bearer {running.token}\r\n\r\n"
    )
    with connected(running) as connection:
        connection.sendall(header.encode())
        for _ in range(9):
            connection.sendall(b"2000\r\n" + b" " * 0x2000 + b"\r\n")
        assert receive(connection)[0] == 413


def test_at_the_limit_of_an_address_the_oldest_ends_and_a_new_one_is_served(
    running: Service,
) -> None:
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(connected(running)) for _ in range(LIMIT * 3)]
        for _ in range(20):
            with connected(running) as healthy:
                healthy.sendall(HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                assert receive(healthy)[0] == 200
        # Well before the deadline of a header: ten have ended by then, the newest not yet.
        begun = time.monotonic()
        for each in waiting[: LIMIT * 2]:
            assert each.recv(1) == b""
        assert time.monotonic() - begun < 6
        waiting[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            waiting[-1].recv(1)


def test_a_request_to_change_the_protocol_is_answered_as_if_it_did_not_ask(
    running: Service,
) -> None:
    upgrade = (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with connected(running) as connection:
        connection.sendall(b"GET /api/customers HTTP/1.1\r\n" + HOST + upgrade)
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
        connection.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + upgrade)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert "WebSocket" not in running.log.read_text()


def test_a_connection_that_ends_for_others_is_in_the_log(running: Service) -> None:
    def messages() -> list[str]:
        return [each for each in running.messages() if "wait for the rest of a request" in each]

    with contextlib.ExitStack() as stack:
        for _ in range(LIMIT * 3):
            stack.enter_context(connected(running))
        assert wait_until(messages)[0].endswith(
            "connections of 127.0.0.1 wait for the rest of a request; the oldest is closed"
        )
        assert len(messages()) < LIMIT


def test_head_has_the_headers_of_get_and_no_body(running: Service) -> None:
    with connected(running) as connection:
        connection.sendall(b"HEAD /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        status, headers, body = receive(connection)

    assert (status, headers["content-length"], body) == (200, "15", b"")


def test_a_graceful_stop_waits_for_no_idle_connection(tmp_path: Path) -> None:
    with Service(tmp_path / "data") as service, connected(service) as idle:
        idle.sendall(HEALTH)
        assert b'"ok"' in idle.recv(65536)
        with connected(service):
            begun = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - begun < 10


@pytest.fixture(scope="module")
def authority() -> CA:
    return CA()


def write_pair(authority: CA, folder: Path, name: str) -> None:
    """Issue a certificate for a name, and replace both files."""
    issued = authority.issue_cert(name, "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.new")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.new")
    (folder / "key.new").replace(folder / "key.pem")
    (folder / "cert.new").replace(folder / "cert.pem")


def test_tls_without_a_proxy_and_a_new_certificate_without_a_restart(
    tmp_path: Path, authority: CA
) -> None:
    write_pair(authority, tmp_path, "first.example")
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def name_and_status(service: Service) -> tuple[str, int]:
        with (
            connected(service) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            certificate: Any = connection.getpeercert()
            connection.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            return certificate["subjectAltName"][0][1], receive(connection)[0]

    env = {
        "POSTWATCH_TLS_CERT": str(tmp_path / "cert.pem"),
        "POSTWATCH_TLS_KEY": str(tmp_path / "key.pem"),
        # Each worker loads the files by itself; of one it is known when it has.
        "POSTWATCH_WORKERS": "1",
    }
    with Service(tmp_path / "data", **env) as service:
        assert name_and_status(service) == ("first.example", 200)
        write_pair(authority, tmp_path, "second.example")
        assert wait_until(lambda: name_and_status(service)[0] == "second.example")
        (tmp_path / "cert.pem").write_text("nothing")
        assert wait_until(lambda: any("not replaced" in each for each in service.messages()))
        assert name_and_status(service) == ("second.example", 200)
        assert service.stop(signal.SIGTERM) == 0


def test_a_handshake_that_does_not_begin_waits_as_a_request_does(
    tmp_path: Path, authority: CA
) -> None:
    write_pair(authority, tmp_path, "one.example")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    env = {
        "POSTWATCH_TLS_CERT": str(tmp_path / "cert.pem"),
        "POSTWATCH_TLS_KEY": str(tmp_path / "key.pem"),
        "POSTWATCH_WORKERS": "1",
        "POSTWATCH_CONNECTIONS_PER_ADDRESS": str(LIMIT),
    }
    with Service(tmp_path / "data", **env) as service, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(service)) for _ in range(LIMIT * 3)]
        begun = time.monotonic()
        for each in silent[: LIMIT * 2]:
            assert each.recv(1) == b""
        assert time.monotonic() - begun < 8, "before the deadline of a handshake"
        with (
            connected(service) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
            assert receive(connection)[0] == 200


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CONNECTIONS_PER_ADDRESS", "0", "must be a whole number from 1 to 100000"),
        ("TRUSTED_PROXIES", "proxy", "proxy is not a network such as 10.0.0.0/8"),
        ("TLS_CERT", __file__, "set both or none"),
        ("TLS_KEY", "/nowhere", "there is no file /nowhere"),
    ],
)
def test_a_wrong_setting_is_refused(tmp_path: Path, name: str, value: str, message: str) -> None:
    env = {"POSTWATCH_DATA": str(tmp_path / "data"), f"POSTWATCH_{name}": value}
    done = postwatch("api", env=env)

    assert done.returncode == 7, done
    assert f"POSTWATCH_{name}" in done.stderr
    assert message in done.stderr
