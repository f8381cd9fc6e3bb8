"""The monitors of the demo: healthy servers, and one server for each common fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cli.demo.servers import PASSWORD, USER, DemoServer, DemoServers
from domain.check import Category
from domain.kinds import KIND_OF_PROTOCOL

if TYPE_CHECKING:
    from mail.protocols.target import ProtocolName


INTERVAL_MINUTES: Final = 0.1
TIMEOUT_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class DemoMonitor:
    """A monitor to create; `expected` is what its checks must find."""

    name: str
    protocol: ProtocolName
    server: DemoServer
    config: dict[str, Any] = field(repr=False)
    expected: Category = Category.OK

    @property
    def path(self) -> str:
        """The path of the API that creates it."""
        return KIND_OF_PROTOCOL[self.protocol].path

    def body(self, customer: int) -> dict[str, Any]:
        """Return the body of the request that creates it for a customer."""
        return {
            "customerId": customer,
            "name": self.name,
            "hostname": self.server.host,
            "port": self.server.port,
            "checkInterval": INTERVAL_MINUTES,
            "timeoutSeconds": TIMEOUT_SECONDS,
            KIND_OF_PROTOCOL[self.protocol].config_key: self.config,
        }


def demo_monitors(servers: DemoServers) -> list[DemoMonitor]:
    """Return the monitors, the healthy ones first."""
    login = {"auth": {"user": USER, "pass": PASSWORD}}
    return [
        DemoMonitor(
            "SMTP, STARTTLS, login", "smtp", servers.smtp_starttls, {"requireTls": True, **login}
        ),
        DemoMonitor("SMTP, TLS, login", "smtp", servers.smtps, {"secure": True, **login}),
        DemoMonitor("SMTP, plain", "smtp", servers.smtp_plain, {}),
        DemoMonitor("IMAP, TLS, login", "imap", servers.imaps, _mailbox("imap", tls=True)),
        DemoMonitor(
            "IMAP, STARTTLS, login",
            "imap",
            servers.imap_starttls,
            _mailbox("imap", startTls="require"),
        ),
        DemoMonitor("POP3, TLS, login", "pop3", servers.pop3s, _mailbox("pop3", tls=True)),
        DemoMonitor("Certificate runs out", "smtp", servers.smtps_expires_soon, {"secure": True}),
        *_broken(servers),
    ]


def _broken(servers: DemoServers) -> list[DemoMonitor]:
    wrong = {**_mailbox("imap", tls=True), "password": f"not-{PASSWORD}"}
    imaps = {"protocol": "imap", "tls": True}
    return [
        DemoMonitor("Wrong password", "imap", servers.imaps, wrong, Category.AUTH_FAILED),
        DemoMonitor("Expired certificate", "smtp", servers.smtp_expired, {}, Category.CERT_EXPIRED),
        DemoMonitor(
            "Wrong host name",
            "imap",
            servers.imaps_wrong_host,
            imaps,
            Category.CERT_HOSTNAME_MISMATCH,
        ),
        DemoMonitor("Nobody listens", "smtp", servers.refused, {}, Category.CONNECT_REFUSED),
        DemoMonitor("Silent server", "smtp", servers.silent, {}, Category.TIMEOUT),
    ]


def _mailbox(protocol: ProtocolName, **encryption: object) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "user": USER,
        "password": PASSWORD,
        "mailbox": "INBOX",
        **encryption,
    }
