"""The certificates of the demo's servers: one CA, and what it signed well and badly."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import trustme


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
