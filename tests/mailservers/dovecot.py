"""A private Dovecot: IMAP, POP3 and ManageSieve, plain, STARTTLS and implicit TLS, two users.

For Dovecot 2.3, whose configuration language 2.4 changed. Runs as root or as another user.
"""

from __future__ import annotations

import contextlib
import getpass
import grp
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
from base64 import b64encode
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
UNICODE_USER = "zoë@example.org"
UNICODE_PASSWORD = 'pä"ss\\wörd'
HASHED_USER = "bob@example.org"
"""Has the password of `USER`, stored as a hash that only PLAIN and LOGIN can be compared with."""


@dataclass(frozen=True)
class Dovecot:
    """The ports of the server. The constants of this module are its users and passwords."""

    host: str
    imap_port: int
    imaps_port: int
    pop3_port: int
    pop3s_port: int
    managesieve_port: int
    managesieves_port: int


_LIBRARIES = (Path("/usr/lib/dovecot"), Path("/usr/libexec/dovecot"))


@contextlib.contextmanager
def dovecot(
    certificate: ServerCertificate,
    *,
    plaintext_logins: bool = True,
    mechanisms: str = "plain login cram-md5",
) -> Iterator[Dovecot]:
    """Run a Dovecot until the block ends; skip the test where it is not installed.

    Without `plaintext_logins` it announces LOGINDISABLED before TLS. It then listens on
    another loopback address than clients have, because it trusts those of its own address.
    """
    binary = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if binary is None:
        pytest.skip("dovecot is not installed")
    for service in ("imap", "pop3", "managesieve"):
        if not any((folder / service).is_file() for folder in _LIBRARIES):
            pytest.skip(f"dovecot is installed without {service}")
    if (
        "2.3."
        not in subprocess.run(
            [binary, "--version"], capture_output=True, text=True, check=True
        ).stdout
    ):
        pytest.skip("this configuration is for Dovecot 2.3")
    with tempfile.TemporaryDirectory(prefix="dovecot-") as folder:
        base = Path(folder)
        server = Dovecot("127.0.0.1" if plaintext_logins else "127.0.0.2", *free_ports(6))
        config = _write(
            base,
            server,
            certificate,
            plaintext_logins=plaintext_logins,
            mechanisms=mechanisms,
        )
        ports = (
            server.imap_port,
            server.imaps_port,
            server.pop3_port,
            server.pop3s_port,
            server.managesieve_port,
            server.managesieves_port,
        )
        with running([binary, "-F", "-c", config], ports, base / "output", host=server.host):
            yield server


def _write(
    base: Path,
    server: Dovecot,
    certificate: ServerCertificate,
    *,
    plaintext_logins: bool,
    mechanisms: str,
) -> Path:
    base.chmod(0o755)
    owner = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    mail = base / "mail"
    mail.mkdir()
    if os.getuid() == 0:
        os.chown(mail, owner.pw_uid, owner.pw_gid)
    chain, key = certificate.write(base)
    users = base / "users"
    hashed = b64encode(hashlib.sha256(PASSWORD.encode()).digest()).decode()
    users.write_text(
        f"{USER}:{{PLAIN}}{PASSWORD}\n{UNICODE_USER}:{{PLAIN}}{UNICODE_PASSWORD}\n"
        f"{HASHED_USER}:{{SHA256}}{hashed}\n"
    )
    config = base / "dovecot.conf"
    config.write_text(
        f"""
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/dovecot.log
protocols = imap pop3 sieve
listen = {server.host}
mail_location = maildir:{mail}/%u
mail_home = {mail}/%u
first_valid_uid = {owner.pw_uid}
last_valid_uid = {owner.pw_uid}
first_valid_gid = {owner.pw_gid}
auth_username_chars =
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
disable_plaintext_auth = {"no" if plaintext_logins else "yes"}
mail_max_userip_connections = 0
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
ssl_dh =
ssl_min_protocol = TLSv1.2
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {users}
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={mail}/%u allow_all_users=yes
}}
{_listener("imap", "imap", server.imap_port, server.imaps_port)}
{_listener("pop3", "pop3", server.pop3_port, server.pop3s_port)}
{_listener("managesieve", "sieve", server.managesieve_port, server.managesieves_port)}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
{_identity()}
"""
    )
    return config


def _listener(service: str, protocol: str, plain: int, implicit: int) -> str:
    return f"""
service {service}-login {{
  service_count = 0
  inet_listener {protocol} {{
    port = {plain}
  }}
  inet_listener {protocol}s {{
    port = {implicit}
    ssl = yes
  }}
}}
"""


def _identity() -> str:
    if os.getuid() == 0:
        return "default_internal_user = dovecot\ndefault_login_user = dovenull\n"
    user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
    rootless = "".join(
        f"service {name} {{\n  chroot =\n}}\n"
        for name in ("imap-login", "pop3-login", "managesieve-login", "anvil", "stats", "auth")
    )
    return f"""
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
{rootless}
service auth {{
  user = {user}
}}
service auth-worker {{
  user = {user}
}}
service log {{
  user =
}}
"""
