"""A test CA, and a server certificate for each way to be good or bad."""

from __future__ import annotations

import functools
import hashlib
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path


NAME = "localhost"
ADDRESS = "127.0.0.1"


@dataclass(frozen=True)
class ServerCertificate:
    """What a server needs to speak TLS: PEM of its key, and of its chain, leaf first."""

    key: bytes
    chain: bytes

    @property
    def end_point(self) -> bytes:
        """The hash of the leaf, as `tls-server-end-point` has it (RFC 5929 4.1)."""
        pem = self.chain.decode("ascii").partition("-----END CERTIFICATE-----")
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[0] + pem[1] + "\n")).digest()

    def context(self) -> ssl.SSLContext:
        """Make a server's TLS context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Give a TLS context this certificate."""
        with tempfile.NamedTemporaryFile() as both:
            both.write(self.key + self.chain)
            both.flush()
            context.load_cert_chain(both.name)

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the chain and the key as files; return both paths."""
        chain, key = folder / "chain.pem", folder / "key.pem"
        chain.write_bytes(self.chain)
        key.write_bytes(self.key)
        return chain, key


class CertificateShop:
    """Issues certificates. `ca_pem` is what a client must trust."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.ca_pem: bytes = self._ca.cert_pem.bytes()

    @functools.cached_property
    def good(self) -> ServerCertificate:
        """Valid for `localhost` and 127.0.0.1, for a year, with an elliptic-curve key."""
        return self._issue(NAME, ADDRESS)

    @functools.cached_property
    def good_rsa(self) -> ServerCertificate:
        """The same with an RSA key."""
        return self._issue(NAME, ADDRESS, key_type=trustme.KeyType.RSA)

    @functools.cached_property
    def expired(self) -> ServerCertificate:
        """Expired yesterday."""
        return self._issue(NAME, ADDRESS, days=(-30, -1))

    @functools.cached_property
    def not_yet_valid(self) -> ServerCertificate:
        """Valid from tomorrow on."""
        return self._issue(NAME, ADDRESS, days=(1, 30))

    @functools.cached_property
    def expires_soon(self) -> ServerCertificate:
        """Expires in less than four days."""
        return self._issue(NAME, ADDRESS, days=(-300, 4))

    @functools.cached_property
    def short_lived(self) -> ServerCertificate:
        """Lives for six days, of which four are left."""
        return self._issue(NAME, ADDRESS, days=(-2, 4))

    @functools.cached_property
    def other_name(self) -> ServerCertificate:
        """Valid for another host."""
        return self._issue("elsewhere.example")

    @functools.cached_property
    def unknown_ca(self) -> ServerCertificate:
        """Issued by a CA that nobody trusts."""
        return _served(trustme.CA().issue_cert(NAME, ADDRESS))

    @functools.cached_property
    def with_intermediate(self) -> ServerCertificate:
        """Issued by an inner CA, whose certificate the server sends along."""
        return _served(self._ca.create_child_ca().issue_cert(NAME, ADDRESS))

    @functools.cached_property
    def without_intermediate(self) -> ServerCertificate:
        """Issued by an inner CA, whose certificate the server forgets."""
        leaf = self._ca.create_child_ca().issue_cert(NAME, ADDRESS)
        return ServerCertificate(leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes())

    @functools.cached_property
    def self_signed(self) -> ServerCertificate:
        """Signed by its own key."""
        return self_signed(NAME)

    @functools.cached_property
    def for_clients(self) -> ServerCertificate:
        """Signed by its own key, for clients to show and not for servers."""
        return self_signed(NAME, purpose=ExtendedKeyUsageOID.CLIENT_AUTH)

    def issue(self, name: str, *, organization: str) -> ServerCertificate:
        """Issue one for a name, with a text of the server's choice in its subject."""
        return _served(self._ca.issue_cert(name, organization_name=organization))

    def _issue(
        self,
        *names: str,
        days: tuple[int, int] = (-1, 365),
        key_type: trustme.KeyType = trustme.KeyType.ECDSA,
    ) -> ServerCertificate:
        today = datetime.now(UTC)
        return _served(
            self._ca.issue_cert(
                *names,
                not_before=today + timedelta(days=days[0]),
                not_after=today + timedelta(days=days[1]),
                key_type=key_type,
            )
        )


def self_signed(
    name: str,
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    *,
    with_extensions: bool = True,
) -> ServerCertificate:
    """Make a certificate that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
    )
    if with_extensions:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        ).add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return ServerCertificate(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
    )


def _served(leaf: trustme.LeafCert) -> ServerCertificate:
    chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
    return ServerCertificate(leaf.private_key_pem.bytes(), chain)
