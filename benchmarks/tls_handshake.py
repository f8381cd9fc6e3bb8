"""Compares the CPU of a client's TLS handshake: the standard library's ssl and pyOpenSSL.

    python -m benchmarks.tls_handshake [--seconds 12]

Both shake hands as the prober does: over memory buffers, TLS 1.3, one context for all
connections, no session tickets, and the sent chain read as DER afterwards. Only the client's
steps are timed. The server is the same for both, in this process, with an elliptic-curve and
an RSA certificate. "verified" lets OpenSSL judge the chain within the handshake; the prober
shakes hands unverified and judges the chain afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import ssl
import statistics
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL, crypto
from typing_extensions import override

from mail.net.tls import probing_context, sent_chain
from tests.mailservers.certificates import NAME, CertificateShop

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.mailservers.certificates import ServerCertificate

RECORD_BYTES: Final = 16 * 1024
BATCH: Final = 50
ROUNDS: Final = 5


class Client(ABC):
    """One client's side of one connection, in memory."""

    @abstractmethod
    def step(self, received: bytes) -> bytes:
        """Take what the server sent and return what to send."""

    @abstractmethod
    def chain(self) -> tuple[bytes, ...]:
        """Return the certificates that the server sent, as DER."""


class StandardClient(Client):
    """The standard library's ssl, as `mail.net.tls.TlsChannel` uses it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=NAME)

    @override
    def step(self, received: bytes) -> bytes:
        self._incoming.write(received)
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    @override
    def chain(self) -> tuple[bytes, ...]:
        self._tls.cipher()
        self._tls.version()
        return sent_chain(self._tls)


class PyOpenSslClient(Client):
    """pyOpenSSL with the OpenSSL in cryptography's wheel."""

    def __init__(self, context: SSL.Context) -> None:
        self._tls = SSL.Connection(context, None)
        self._tls.set_tlsext_host_name(NAME.encode())
        self._tls.set_connect_state()

    @override
    def step(self, received: bytes) -> bytes:
        if received:
            self._tls.bio_write(received)
        with contextlib.suppress(SSL.WantReadError):
            self._tls.do_handshake()
        try:
            return self._tls.bio_read(RECORD_BYTES)
        except SSL.WantReadError:
            return b""

    @override
    def chain(self) -> tuple[bytes, ...]:
        self._tls.get_cipher_name()
        self._tls.get_protocol_version_name()
        certificates = self._tls.get_peer_cert_chain(as_cryptography=True) or []
        return tuple(each.public_bytes(Encoding.DER) for each in certificates)


def standard(ca_pem: bytes, *, verified: bool) -> Callable[[], Client]:
    """Return what makes clients of the standard library."""
    context = probing_context()
    if verified:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    return lambda: StandardClient(context)


def pyopenssl(ca_pem: bytes, *, verified: bool) -> Callable[[], Client]:
    """Return what makes clients of pyOpenSSL."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_TICKET)
    if verified:
        store = context.get_cert_store()
        if store is None:
            raise LookupError("the context has no trust store")
        store.add_cert(crypto.X509.from_cryptography(load_pem_x509_certificate(ca_pem)))
        context.set_verify(SSL.VERIFY_PEER)
    return lambda: PyOpenSslClient(context)


def client_seconds(make: Callable[[], Client], server: ssl.SSLContext) -> float:
    """Shake hands a batch of times; return the CPU seconds of the client for each."""
    spent = 0.0
    for _ in range(BATCH):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = server.wrap_bio(incoming, outgoing, server_side=True)
        began = time.thread_time()
        client = make()
        sent = client.step(b"")
        spent += time.thread_time() - began
        while sent:
            incoming.write(sent)
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.do_handshake()
            received = outgoing.read()
            if not received:
                break
            began = time.thread_time()
            sent = client.step(received)
            spent += time.thread_time() - began
        began = time.thread_time()
        chain = client.chain()
        spent += time.thread_time() - began
        if not chain or peer.version() != "TLSv1.3":
            raise AssertionError(f"{peer.version()} with {len(chain)} certificates")
    return spent / BATCH


def compare(
    name: str, certificate: ServerCertificate, ca_pem: bytes, seconds: float, *, verified: bool
) -> None:
    """Measure both by turns for so long, and print the medians and their ratio."""
    server = certificate.context()
    clients = (standard(ca_pem, verified=verified), pyopenssl(ca_pem, verified=verified))
    rounds: list[tuple[float, float]] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(rounds) < ROUNDS:
        rounds.append((client_seconds(clients[0], server), client_seconds(clients[1], server)))
    ratios = [second / first for first, second in rounds]
    first, second = (statistics.median(each[i] for each in rounds) * 1e6 for i in (0, 1))
    print(
        f"{name}: ssl {first:.0f} us, pyOpenSSL {second:.0f} us of CPU for one handshake; "
        f"ratio {statistics.median(ratios):.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f}, "
        f"{len(rounds)} of {BATCH})",
        flush=True,
    )


def main() -> None:
    """Compare both libraries with each certificate, unverified and verified."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="for each of four lines")
    arguments = parser.parse_args()
    shop = CertificateShop()
    print(f"ssl: {ssl.OPENSSL_VERSION}; pyOpenSSL: {SSL.SSLeay_version(0).decode()}")
    for key, certificate in (("EC", shop.good), ("RSA", shop.good_rsa)):
        for verified in (False, True):
            name = f"{key} certificate, {'verified' if verified else 'unverified'}"
            compare(name, certificate, shop.ca_pem, arguments.seconds, verified=verified)


if __name__ == "__main__":
    main()
