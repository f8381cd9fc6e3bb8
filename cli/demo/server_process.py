"""The process of the demo's mail servers: `python -m cli.demo.server_process CA_FILE`.

It issues certificates, good and bad ones, writes their CA to the file, and prints the ports
by name as one line of JSON. It ends on SIGTERM, and when stdin ends, so that it never
outlives its parent. The SMTP servers (aiosmtpd) accept logins and no mail.
"""

# ruff: noqa: ANN401 (Twisted has no types)

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from twisted.internet import asyncioreactor

from cli.demo.servers import HOST, PASSWORD, USER

if TYPE_CHECKING:
    from collections.abc import Callable


class _RefuseMail:
    """Refuses every message: monitors send none."""

    async def handle_MAIL(self, *_: object) -> str:  # noqa: N802 - the library's name
        return "550 this server takes no mail"


def smtp(
    loop: asyncio.AbstractEventLoop,
    *,
    starttls: ssl.SSLContext | None = None,
    login_in_clear: bool = False,
) -> Callable[[], asyncio.Protocol]:
    """Return what makes the server's side of a connection.

    `login_in_clear` offers AUTH without STARTTLS. It is for the plain server, and for the
    one whose connections are encrypted already, which the library does not notice.
    """

    def connect() -> asyncio.Protocol:
        protocol: asyncio.Protocol = SMTP(
            _RefuseMail(),
            hostname="mail.demo.example",
            ident="Postwatch demo",
            tls_context=starttls,
            auth_require_tls=not login_in_clear,
            authenticator=_authenticate,
            loop=loop,
        )
        return protocol

    return connect


def _authenticate(
    _server: object, _session: object, _envelope: object, _mechanism: str, sent: object
) -> AuthResult:
    known = LoginPassword(USER.encode(), PASSWORD.encode())
    # Not `handled`: the library then answers a refused login itself.
    return AuthResult(success=sent == known, handled=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The PEM of a key and of the certificate that belongs to it."""

    leaf: trustme.LeafCert

    @property
    def pem(self) -> bytes:
        """Key and certificate, one after the other."""
        pem: bytes = self.leaf.private_key_and_cert_chain_pem.bytes()
        return pem

    def context(self) -> ssl.SSLContext:
        """Make a server's TLS context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.leaf.configure_cert(context)
        return context


class Certificates:
    """One CA with a certificate for each case. Nothing is stored but the CA's own."""

    def __init__(self, *names: str) -> None:
        """Make them for the names and addresses that the servers are reached by."""
        self._ca = trustme.CA(organization_name="Postwatch demo")
        self.ca_pem: bytes = self._ca.cert_pem.bytes()
        self.good = self._issue(names, -1, 364)
        self.expired = self._issue(names, -90, -1)
        self.expires_soon = self._issue(names, -85, 5)
        self.wrong_host = self._issue(("elsewhere.example",), -1, 364)

    def _issue(self, names: tuple[str, ...], from_days: int, to_days: int) -> Certificate:
        now = datetime.now(UTC)
        leaf = self._ca.issue_cert(
            *names,
            not_before=now + timedelta(days=from_days),
            # An hour more, so that the whole days left do not change during a demo.
            not_after=now + timedelta(days=to_days, hours=1),
            organization_name="Postwatch demo",
        )
        return Certificate(leaf)


def main(ca_file: Path) -> None:
    """Serve until SIGTERM or the end of stdin."""
    loop = asyncio.new_event_loop()
    asyncioreactor.install(loop)
    reactor: Any = import_module("twisted.internet.reactor")
    certificates = Certificates(HOST, "localhost")
    with socket.socket() as refusing:
        # Bound and never listening: no other process can listen on this port.
        refusing.bind((HOST, 0))
        ports = {
            **loop.run_until_complete(_listen_asyncio(loop, certificates)),
            **_listen_twisted(reactor, certificates),
            "refused": refusing.getsockname()[1],
        }
        ca_file.write_bytes(certificates.ca_pem)
        print(orjson.dumps(ports).decode(), flush=True)
        # The parent writes nothing, so it becomes readable at its end only.
        loop.add_reader(sys.stdin.fileno(), reactor.stop)
        reactor.run()


async def _listen_asyncio(
    loop: asyncio.AbstractEventLoop, certificates: Certificates
) -> dict[str, int]:
    good, expired = certificates.good.context(), certificates.expired.context()
    encrypted = smtp(loop, login_in_clear=True)
    servers: dict[str, tuple[Callable[[], asyncio.BaseProtocol], ssl.SSLContext | None]] = {
        "smtp_starttls": (smtp(loop, starttls=good), None),
        "smtps": (encrypted, good),
        "smtps_expires_soon": (encrypted, certificates.expires_soon.context()),
        "smtp_plain": (smtp(loop, login_in_clear=True), None),
        "smtp_expired": (smtp(loop, starttls=expired), None),
        "silent": (asyncio.Protocol, None),
    }
    ports = {}
    for name, (connect, tls) in servers.items():
        server = await loop.create_server(connect, HOST, 0, ssl=tls)
        ports[name] = server.sockets[0].getsockname()[1]
    return ports


def _listen_twisted(reactor: Any, certificates: Certificates) -> dict[str, int]:
    # After the reactor, which Twisted otherwise chooses by itself.
    mailboxes: Any = import_module("cli.demo.mailbox_servers")
    good = mailboxes.tls_options(certificates.good.pem)
    wrong_host = mailboxes.tls_options(certificates.wrong_host.pem)
    imap, pop3 = mailboxes.imap_factory, mailboxes.pop3_factory
    listeners = {
        "imap_starttls": reactor.listenTCP(0, imap(starttls=good), interface=HOST),
        "imaps": reactor.listenSSL(0, imap(), good, interface=HOST),
        "imaps_wrong_host": reactor.listenSSL(0, imap(), wrong_host, interface=HOST),
        "pop3": reactor.listenTCP(0, pop3(), interface=HOST),
        "pop3s": reactor.listenSSL(0, pop3(), good, interface=HOST),
    }
    return {name: each.getHost().port for name, each in listeners.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
