"""A private Exim: SMTP with STARTTLS and implicit TLS, AUTH only after TLS.

Needs root, because Exim does.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mailservers.processes import free_ports, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mailservers.certificates import ServerCertificate


USER = "alice@example.org"
PASSWORD = "correct horse"


@dataclass(frozen=True)
class Exim:
    """Where the server listens. The constants of this module say who may log in."""

    smtp_port: int
    smtps_port: int


@contextlib.contextmanager
def exim(certificate: ServerCertificate, *, mechanisms: str = "PLAIN LOGIN") -> Iterator[Exim]:
    """Run an Exim until the block ends; skip the test where it cannot run."""
    binary = shutil.which("exim4", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        pytest.skip("exim4 is not installed")
    if os.getuid() != 0:
        pytest.skip("exim4 starts as root only")
    with tempfile.TemporaryDirectory(prefix="exim-") as folder:
        server = Exim(*free_ports(2))
        config = _write(Path(folder), server, certificate, mechanisms.split())
        ports = (server.smtp_port, server.smtps_port)
        with running([binary, "-C", config, "-bdf"], ports, Path(folder) / "output"):
            yield server


def _write(base: Path, server: Exim, certificate: ServerCertificate, mechanisms: list[str]) -> Path:
    account = pwd.getpwnam("Debian-exim")
    (base / "spool").mkdir()
    chain, key = certificate.write(base)
    config = base / "exim.conf"
    config.write_text(
        f"""
primary_hostname = exim.example
spool_directory = {base}/spool
log_file_path = {base}/log-%s
pid_file_path = {base}/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {server.smtp_port} : {server.smtps_port}
tls_on_connect_ports = {server.smtps_port}
tls_advertise_hosts = *
tls_certificate = {chain}
tls_privatekey = {key}
auth_advertise_hosts = *
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 400
acl_smtp_rcpt = deny
begin authenticators
{"".join(_AUTHENTICATORS[each] for each in mechanisms)}
"""
    )
    for path in (base, base / "spool", chain, key):
        os.chown(path, account.pw_uid, account.pw_gid)
    return config


_AUTHENTICATORS = {
    "PLAIN": f"""
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
""",
    "LOGIN": f"""
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{USER}}}}}{{eq{{$auth2}}{{{PASSWORD}}}}}}}}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
""",
}
