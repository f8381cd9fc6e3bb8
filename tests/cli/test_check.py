"""`postwatch check` against real servers: what it prints, and its exit status."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from cli.demo.servers import PASSWORD, USER, DemoServer, DemoServers, demo_servers
from cli.inspect.check import PluginCommand, check
from cli.main import main
from tests.mailservers.scripted import NEEDS_IPV6, Peer, scripted, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result


CANARY = "canary-Passw0rd"
KEYS = [
    "verdict",
    "category",
    "phase",
    "message",
    "server_reply",
    "address",
    "port",
    "timings",
    "tls",
    "warnings",
]
END_SECONDS = 30


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServers]:
    with demo_servers(tmp_path_factory.mktemp("servers")) as running:
        yield running


@pytest.fixture
def login(tmp_path: Path) -> list[str]:
    return _login(tmp_path, USER, PASSWORD + "\n")


def _login(folder: Path, user: str, words: str) -> list[str]:
    path = folder / "password"
    path.write_bytes(words.encode())
    return ["--user", user, "--password-file", str(path)]


def _check(*arguments: str | Path | int, stdin: str | None = None, **env: str) -> Result:
    return CliRunner(env=env).invoke(check, [str(each) for each in arguments], input=stdin)


def _at(server: DemoServer, servers: DemoServers) -> list[str]:
    return [server.host, "--port", str(server.port), "--ca-file", str(servers.ca_file)]


def _json(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_healthy_server_is_up_and_ends_with_0(servers: DemoServers, login: list[str]) -> None:
    result = _check("smtp", *_at(servers.smtp_starttls, servers), "--require-tls", *login)

    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"UP: smtp 127.0.0.1:{servers.smtp_starttls.port} can be used, ")
    assert lines[0].endswith("TLSv1.3, certificate valid for 364 days")
    assert all(line == line.rstrip() for line in lines)
    phases = ["dns", "connect", "greeting", "ehlo", "starttls", "tls", "auth", "quit", "total"]
    for word in (*phases, "cipher", "subject", "issuer", "names", "expires", "chain"):
        assert any(f" {word} " in f" {line} " for line in lines), word


@pytest.mark.parametrize(
    ("protocol", "name", "options"),
    [
        ("smtp", "smtps", ["--secure"]),
        ("imap", "imaps", ["--tls", "--mailbox", "INBOX"]),
        ("imap", "imap_starttls", ["--starttls", "require"]),
        ("imap", "imap_starttls", ["--require-tls"]),
        ("imap", "imap_starttls", []),
        ("pop3", "pop3s", ["--secure", "--require-tls", "--mailbox", "INBOX"]),
    ],
)
def test_each_protocol_logs_in_over_tls(
    servers: DemoServers, login: list[str], protocol: str, name: str, options: list[str]
) -> None:
    result = _check(protocol, *_at(getattr(servers, name), servers), *options, *login, "--json")

    assert result.exit_code == 0
    assert _json(result)["category"] == "ok"
    assert _json(result)["tls"]["version"] == "TLSv1.3"


def test_json_has_exactly_the_documented_keys(servers: DemoServers) -> None:
    result = _check("imap", *_at(servers.imaps, servers), "--tls", "--json")

    found = _json(result)
    assert list(found) == KEYS
    assert found["verdict"] == "up"
    assert found["timings"].keys() == {
        "dns", "connect", "tls", "greeting", "capability", "quit", "total",
    }  # fmt: skip
    assert found["tls"]["names"] == ["localhost", "127.0.0.1"]


def test_json_of_a_refused_port_has_the_same_keys(servers: DemoServers) -> None:
    result = _check("pop3", *_at(servers.refused, servers), "--json")

    found = _json(result)
    assert result.exit_code == 2
    assert list(found) == KEYS
    assert (found["verdict"], found["category"], found["phase"], found["tls"]) == (
        "down", "connect_refused", "connect", None,
    )  # fmt: skip


def test_trace_adds_one_key_with_the_dialogue(servers: DemoServers, login: list[str]) -> None:
    result = _check("smtp", *_at(servers.smtps, servers), "--secure", *login, "--json", "--trace")

    found = _json(result)
    assert list(found) == [*KEYS, "login", "trace"]
    assert found["login"] == {"offered": ["LOGIN", "PLAIN"], "used": "PLAIN"}
    assert found["trace"][0].keys() == {"elapsed_ms", "side", "text"}
    assert ("client", "AUTH PLAIN ***") in [(line["side"], line["text"]) for line in found["trace"]]


def test_trace_shows_who_said_what(servers: DemoServers, login: list[str]) -> None:
    result = _check("imap", *_at(servers.imaps, servers), "--tls", *login, "--trace")

    assert " * TLSv1.3" in result.stdout
    assert " < * OK [CAPABILITY" in result.stdout
    assert " > a2 LOGIN ***\n" in result.stdout


def test_a_certificate_that_expires_soon_ends_with_1(servers: DemoServers) -> None:
    result = _check("smtp", *_at(servers.smtps_expires_soon, servers), "--secure")

    assert result.exit_code == 1
    first = result.stdout.splitlines()[0]
    assert first.startswith("UP: ")
    assert first.endswith("certificate valid for 5 days; act on: cert_expires_soon")


def test_a_password_sent_in_clear_ends_with_1(servers: DemoServers, login: list[str]) -> None:
    result = _check("smtp", *_at(servers.smtp_plain, servers), *login)

    assert result.exit_code == 1
    first = result.stdout.splitlines()[0]
    assert first.endswith("no TLS; act on: password_in_clear; note: plaintext")


@pytest.mark.parametrize(
    ("name", "options", "warning"),
    [
        ("smtp_plain", [], "plaintext"),
        ("smtp_expired", ["--no-verify"], "cert_expired"),
    ],
)
def test_a_warning_to_note_stays_0(
    servers: DemoServers, name: str, options: list[str], warning: str
) -> None:
    result = _check("smtp", *_at(getattr(servers, name), servers), *options)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].endswith(f"; note: {warning}")


@pytest.mark.parametrize(
    ("protocol", "name", "options", "line"),
    [
        ("smtp", "refused", [], "connect_refused (connect): the connection is refused"),
        ("smtp", "silent", ["--timeout", "0.2"], "timeout (greeting): no answer within 0.2 s"),
        ("smtp", "smtp_expired", [], "cert_expired (tls): the certificate is bad"),
        ("imap", "imaps_wrong_host", ["--tls"], "cert_hostname_mismatch (tls)"),
        ("smtp", "smtp_plain", ["--require-tls"], "starttls_unavailable (starttls)"),
        ("pop3", "pop3", ["--starttls", "require"], "starttls_unavailable (starttls)"),
        ("smtp", "smtps", ["--allow-network", "10.0.0.0/8"], "address_blocked (dns)"),
    ],
)
def test_a_server_that_cannot_be_used_is_down_and_ends_with_2(
    servers: DemoServers, protocol: str, name: str, options: list[str], line: str
) -> None:
    server = getattr(servers, name)

    result = _check(protocol, *_at(server, servers), *options)

    assert result.exit_code == 2
    assert result.stdout.startswith(f"DOWN: {protocol} 127.0.0.1:{server.port} {line}")
    assert "failed here" in result.stdout


def test_a_managesieve_server_is_checked(login: list[str]) -> None:
    script = steps(
        b'"IMPLEMENTATION" "test"\r\n"SASL" "PLAIN"\r\nOK\r\n',
        "AUTHENTICATE",
        b"OK\r\n",
        "NOOP",
        b"OK\r\n",
        "LOGOUT",
        b"OK\r\n",
    )
    with scripted(script) as port:
        result = _check("managesieve", "127.0.0.1", "--port", str(port), *login)

    assert result.exit_code == 1
    assert result.stdout.startswith(f"UP: managesieve 127.0.0.1:{port} can be used")
    assert "act on: password_in_clear" in result.stdout


def test_a_refused_login_shows_the_servers_own_words(servers: DemoServers, tmp_path: Path) -> None:
    result = _check(
        "smtp", *_at(servers.smtps, servers), "--secure", *_login(tmp_path, USER, "wrong-one")
    )

    assert result.exit_code == 2
    assert "auth_failed" in result.stdout
    assert "535 5.7.8 Authentication credentials invalid" in result.stdout


@NEEDS_IPV6
def test_an_ipv6_address_is_shown_in_brackets(servers: DemoServers) -> None:
    result = _check("smtp", "::1", "--port", servers.refused.port)

    assert result.exit_code == 2
    assert result.stdout.startswith(f"DOWN: smtp [::1]:{servers.refused.port} ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument"),
        (["nntp", "localhost"], "nntp"),
        (["smtp", "localhost", "again"], "one protocol and one host"),
        (["localhost", "--port", "25"], "postwatch check PROTOCOL HOST --port"),
        (["localhost", "--trace"], "--trace is for one protocol"),
        (["localhost", "--password-file", "x"], "--password-file is for one protocol"),
        (["https://localhost"], "without a protocol"),
        (["smtp"], "HOST"),
        (["smtp", "localhost", "--colour"], "--colour"),
        (["smtp", "https://localhost"], "without a protocol"),
        (["smtp", "localhost:25"], "--port"),
        (["smtp", "alice@localhost"], "--user"),
        (["smtp", "no such host"], "blanks"),
        (["smtp", "localhost", "--port", "0"], "1<=x<=65535"),
        (["smtp", "localhost", "--timeout", "0"], "--timeout"),
        (["smtp", "localhost", "--timeout", "nan"], "timeout"),
        (["smtp", "localhost", "--secure", "--ignore-tls"], "--secure and --ignore-tls contradict"),
        (["smtp", "localhost", "--require-tls", "--ignore-tls"], "contradict"),
        (["imap", "localhost", "--tls", "--starttls", "auto"], "--secure and --starttls auto"),
        (["smtp", "localhost", "--starttls", "auto"], "use --require-tls or --ignore-tls"),
        (["smtp", "localhost", "--user", "alice"], "add --password-file"),
        (["smtp", "localhost", "--password-file", "-"], "add --user"),
        (["smtp", "localhost", "--mailbox", "INBOX"], "imap and pop3"),
        (["managesieve", "localhost", "--mailbox", "INBOX"], "imap and pop3"),
        (["imap", "localhost", "--mailbox", "INBOX"], "needs a login"),
        (["smtp", "localhost", "--ca-file", "/nowhere/ca.pem"], "there is no such file"),
        (["smtp", "localhost", "--allow-network", "10.0.0.1/8"], "allowed networks"),
        (["smtp", "localhost", "--resolver", "not-an-address"], "not-an-address"),
        (
            ["smtp", "localhost", "--user", "alice", "--password-file", "/nowhere/password"],
            "cannot read /nowhere/password: No such file or directory",
        ),
    ],
)
def test_wrong_arguments_end_with_3_and_say_what_to_do(arguments: list[str], words: str) -> None:
    result = _check(*arguments)

    assert result.exit_code == 3
    assert result.stdout == ""
    assert words in result.stderr


def test_wrong_arguments_end_with_3_as_a_sub_command_as_well() -> None:
    result = CliRunner().invoke(main, ["check", "smtp", "localhost", "--colour"])

    assert result.exit_code == 3


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (b"", "holds no password"),
        (b"\n", "holds no password"),
        (b"two\nlines", "must not contain line breaks"),
        (b"one-line-end-only\n\n", "must not contain line breaks"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 1025, "more than 1024 characters"),
    ],
)
def test_a_password_file_that_makes_no_sense_ends_with_3(
    tmp_path: Path, words: bytes, complaint: str
) -> None:
    path = tmp_path / "password"
    path.write_bytes(words)

    result = _check("smtp", "localhost", "--user", "alice", "--password-file", path)

    assert result.exit_code == 3
    assert complaint in result.stderr
    assert words.decode("latin-1").strip() not in result.stderr or not words.strip()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_password_may_come_from_stdin(servers: DemoServers, end: str) -> None:
    arguments = [*_at(servers.smtps, servers), "--secure", "--user", USER]

    result = _check("smtp", *arguments, "--password-file", "-", stdin=PASSWORD + end)

    assert result.exit_code == 0


def test_help_ends_with_0_and_names_the_exit_status() -> None:
    result = _check("--help")

    assert result.exit_code == 0
    assert "cert_expires_soon, password_in_clear, preauth" in result.stdout


def test_settings_of_the_checker_hold_here_as_well(servers: DemoServers) -> None:
    arguments = ["imap", "localhost", "--port", str(servers.imaps.port), "--tls", "--json"]
    env = {"POSTWATCH_CA_FILE": str(servers.ca_file), "POSTWATCH_RESOLVERS": "127.0.0.1,::1"}

    assert _check(*arguments, **env).exit_code == 0
    assert _check(*arguments).exit_code == 2


def _echo(peer: Peer) -> None:
    """Answer a login with the password that came, in every form that a server may have."""
    sent = peer.read_line().strip()
    plain = CANARY.encode()
    forms = [sent, plain, plain.upper(), b64encode(plain), b64encode(b"x" + plain)]
    peer.send(b"535 you said " + b" and ".join(forms) + b"\r\n")


@pytest.mark.parametrize("options", [[], ["--trace"], ["--json"], ["--json", "--trace"]])
def test_the_password_is_never_printed_even_when_the_server_echoes_it(
    tmp_path: Path, options: list[str]
) -> None:
    script = steps(b"220 hello\r\n", "EHLO", b"250-hello\r\n250 AUTH PLAIN\r\n", _echo)
    with scripted(script) as port:
        result = _check(
            "smtp", "127.0.0.1", "--port", port, *_login(tmp_path, "a", CANARY), *options
        )

    assert result.exit_code == 2
    assert "535 you said" in result.output
    for offset in range(3):
        encoded = b64encode(b"\0" * offset + CANARY.encode()).decode()
        assert encoded[4:-4] not in result.output
    assert CANARY.casefold() not in result.output.casefold()


def test_the_words_of_a_server_are_shown_whole_and_as_they_are() -> None:
    words = "[red]no[/red] " + "word " * 80 + "end"
    with scripted(steps(f"554 {words}\r\n".encode())) as port:
        result = _check("smtp", "127.0.0.1", "--port", port)

    assert words in result.stdout


def test_a_terminal_gets_colours_and_bars(servers: DemoServers) -> None:
    result = _check("smtp", *_at(servers.smtp_expired, servers), FORCE_COLOR="1", TERM="xterm")

    assert result.stdout.startswith("\x1b[1;31mDOWN\x1b[0m: smtp")
    assert "━" in result.stdout


def test_the_output_may_be_caught_in_memory(servers: DemoServers) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as caught:
        status = check.main(
            ["smtp", *_at(servers.refused, servers)], prog_name="check", standalone_mode=False
        )

    assert status == 2
    assert caught.getvalue().startswith("DOWN: ")


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "cli.main", "check", *map(str, arguments)]


@pytest.mark.system
def test_words_that_the_terminal_cannot_show_do_not_hide_the_verdict() -> None:
    with scripted(steps("554 größer\r\n".encode())) as port:
        ended = subprocess.run(
            _command("smtp", "127.0.0.1", "--port", port),
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            timeout=END_SECONDS,
            check=False,
        )

    assert ended.returncode == 2
    assert rb"gr\xf6\xdfer" in ended.stdout
    assert ended.stderr == b""


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let commands know Ctrl-C, which is ignored below a shell's background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.system
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_no_verdict() -> None:
    contacted = threading.Event()
    with (
        scripted(steps(lambda _: contacted.set())) as port,
        subprocess.Popen(
            _command("smtp", "127.0.0.1", "--port", port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        assert contacted.wait(END_SECONDS)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=END_SECONDS)

    assert process.returncode == 3
    assert out == b""
    assert err == b"postwatch: stopped before there was a verdict\n"


@pytest.mark.system
def test_a_password_that_is_typed_is_not_shown(servers: DemoServers) -> None:
    ours, theirs = os.openpty()
    arguments = [*_at(servers.smtps, servers), "--secure", "--user", USER]
    with subprocess.Popen(
        _command("smtp", *arguments, "--password-file", "-"),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Without a controlling terminal it is asked for on stdin.
        start_new_session=True,
    ) as process:
        os.close(theirs)
        assert process.stderr is not None
        prompt = process.stderr.read(len(b"Password: "))
        os.write(ours, f"{PASSWORD}\n".encode())
        out, err = process.communicate(timeout=END_SECONDS)
    os.close(ours)

    assert prompt == b"Password: "
    assert process.returncode == 0
    assert PASSWORD.encode() not in out + err


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), click.Abort()])
def test_a_bug_is_no_verdict(error: Exception) -> None:
    @click.command(cls=PluginCommand)
    def broken() -> None:
        raise error

    assert CliRunner().invoke(broken).exit_code == 3
