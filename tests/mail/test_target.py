"""What a probe can be asked to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mail.protocols import PROTOCOLS
from mail.protocols.target import Credentials, ProbeTarget

if TYPE_CHECKING:
    from domain.kinds import TlsMode
    from mail.protocols.target import ProtocolName


def _target(
    port: int = 25, timeout_seconds: float = 5, user: str | None = None, password: str | None = None
) -> ProbeTarget:
    return ProbeTarget(
        protocol="smtp",
        hostname="mx.example",
        port=port,
        tls="auto",
        timeout_seconds=timeout_seconds,
        user=user,
        password=password,
    )


@pytest.mark.parametrize(
    ("protocol", "tls", "port"),
    [
        ("smtp", "auto", 25),
        ("smtp", "implicit", 465),
        ("imap", "never", 143),
        ("imap", "implicit", 993),
        ("pop3", "require", 110),
        ("pop3", "implicit", 995),
        ("managesieve", "require", 4190),
        ("managesieve", "implicit", 4190),
    ],
)
def test_a_port_follows_from_protocol_and_tls(
    protocol: ProtocolName, tls: TlsMode, port: int
) -> None:
    assert PROTOCOLS[protocol].default_port(tls) == port


@pytest.mark.parametrize(
    ("user", "password", "credentials"),
    [
        ("alice", "secret", Credentials("alice", "secret")),
        ("alice", None, None),
        ("alice", "", None),
        (None, "secret", None),
    ],
)
def test_a_login_needs_user_and_password(
    user: str | None, password: str | None, credentials: Credentials | None
) -> None:
    assert _target(user=user, password=password).credentials == credentials


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_has_a_range(port: int) -> None:
    with pytest.raises(ValueError, match="port must be"):
        _target(port=port)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_probe_needs_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="timeout_seconds must be"):
        _target(timeout_seconds=seconds)


@pytest.mark.parametrize("user", ["a\rb", "a\nb", "a\0b"])
def test_a_user_cannot_speak_commands(user: str) -> None:
    with pytest.raises(ValueError, match="user must not contain"):
        _target(user=user, password="secret")
