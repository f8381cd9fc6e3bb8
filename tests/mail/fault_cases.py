"""The rows of the fault table, and the steps of their scripts."""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.check import Category, Phase
from tests.mailservers.certificates import CertificateShop, ServerCertificate

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.kinds import TlsMode
    from mail.protocols.target import ProtocolName
    from tests.mailservers.scripted import Peer, Script


USER = "alice@example.org"
PASSWORD = "canary-Passw0rd"

# Enough for a busy machine that plays all cases at once; each stalling server takes all of it.
TIMEOUT_SECONDS = 3.0

LONG_SECONDS = 30.0
"""Of a probe whose time is not to run out."""

SHOP = CertificateShop()


@dataclass(frozen=True, kw_only=True)
class FaultCase:
    """One row of the table: the script of the server, and the outcome that must follow.

    Without a category the server is up. `says` is in the message or in that of a warning,
    `reply` in the words of the server; `saw` are the commands that the server got from the
    login on; a server that `hangs_up` sees no farewell.
    """

    name: str
    protocol: ProtocolName
    script: Script
    category: Category = Category.OK
    phase: Phase | None = None
    warnings: tuple[str, ...] = ()
    tls: TlsMode = "auto"
    login: bool = False
    user: str = USER
    password: str = PASSWORD
    mailbox: str | None = None
    verify: bool = True
    token: str | None = None
    hangs_up: bool = False
    says: str = ""
    reply: str = ""
    saw: tuple[str, ...] | None = None


def reset(peer: Peer) -> None:
    """End the connection with a RST."""
    peer.reset()


def close(peer: Peer) -> None:
    """End the connection in order."""
    peer.close()


def half_close(peer: Peer) -> None:
    """Say that nothing more will come, and keep listening."""
    peer.end_sending()


def await_hello(peer: Peer) -> None:
    """Take the first bytes of a TLS handshake and leave them unanswered."""
    peer.read_some()


def tls(certificate: ServerCertificate = SHOP.good) -> Callable[[Peer], None]:
    """Shake hands with a certificate."""
    context = certificate.context()
    return lambda peer: peer.start_tls(context)


def old_tls(peer: Peer) -> None:
    """Offer nothing newer than TLS 1.0, and say so with an alert."""
    context = SHOP.good.context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    peer.start_tls(context)


def foreign_ciphers(peer: Peer) -> None:
    """Offer only ciphers that our side does not."""
    context = SHOP.good.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH-NULL-SHA:ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0")
    peer.start_tls(context)


def wants_client_certificate(peer: Peer) -> None:
    """Ask for a certificate of the client, and refuse to go on without."""
    context = SHOP.good.context()
    context.load_verify_locations(cadata=SHOP.ca_pem.decode("ascii"))
    context.verify_mode = ssl.CERT_REQUIRED
    peer.start_tls(context)
