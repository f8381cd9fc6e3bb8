"""The process of the demo's mail servers: `python -m cli.demo.server_process CA_FILE`.

Writes the CA to the file and one line of JSON, the ports by name, to stdout. Ends with
SIGTERM, and when stdin ends, so that it never outlives whoever started it.
"""

# ruff: noqa: ANN401 (Twisted has no types)

from __future__ import annotations

import asyncio
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from twisted.internet import asyncioreactor

from cli.demo.certificates import Certificates
from cli.demo.servers import HOST
from cli.demo.smtp_servers import smtp

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


def main(ca_file: Path) -> None:
    """Serve until told to stop."""
    loop = asyncio.new_event_loop()
    asyncioreactor.install(loop)
    reactor: Any = import_module("twisted.internet.reactor")
    certificates = Certificates(HOST, "localhost")
    with socket.socket() as refusing:
        # Bound and never listening: taken, so nobody else answers there.
        refusing.bind((HOST, 0))
        ports = {
            **loop.run_until_complete(_listen_asyncio(loop, certificates)),
            **_listen_twisted(reactor, certificates),
            "refused": refusing.getsockname()[1],
        }
        ca_file.write_bytes(certificates.ca_pem)
        print(orjson.dumps(ports).decode(), flush=True)
        # Nobody writes to it, so what there is to read is its end.
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
