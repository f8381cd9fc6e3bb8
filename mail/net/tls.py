"""The client's side of TLS over a socket, for one task at a time.

`trio.SSLStream` does this for any number of tasks, with locks and checkpoints that cost a
probe a quarter of its time, and hides why a handshake failed. A dialogue sends or
receives, never both at once, so a plain loop around OpenSSL's memory buffers is enough.
"""

from __future__ import annotations

import ssl
import warnings
from _ssl import ENCODING_DER
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes

if TYPE_CHECKING:
    from collections.abc import Callable

    from mail.net.connect import ClientSocket


# A TLS record holds at most 16 KiB (RFC 8446 5.1).
_RECORD_BYTES = 16 * 1024

# Of a server that answers in plain text: enough for its first lines.
_KEPT_BYTES = 1024

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class TlsSession:
    """What a handshake settled. `chain` is what the server sent, leaf first, as DER."""

    version: str
    cipher: str
    chain: tuple[bytes, ...]


@cache
def probing_context(oldest: str | None = None, newest: str | None = None) -> ssl.SSLContext:
    """Return the TLS context that all probes with these versions share.

    It does not verify, because the facts of a bad certificate are wanted too:
    `mail.net.certificates` judges the chain right after the handshake. It offers TLS 1.2 and
    later (RFC 8996), unless versions are named: `TLSv1`, `TLSv1.1`, `TLSv1.2`, `TLSv1.3`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    lowest = _version(oldest, ssl.TLSVersion.TLSv1_2)
    highest = _version(newest, ssl.TLSVersion.MAXIMUM_SUPPORTED)
    if newest is not None:
        lowest = min(lowest, highest)
    with warnings.catch_warnings():
        # People who name an old version want it.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = lowest
        context.maximum_version = highest
    if lowest < ssl.TLSVersion.TLSv1_2:
        # OpenSSL's usual level refuses the signatures of the old versions.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
    # A resumed session would show no certificate, so no tickets are asked for.
    context.options |= ssl.OP_NO_TICKET
    return context


def _version(name: str | None, default: ssl.TLSVersion) -> ssl.TLSVersion:
    return default if name is None else ssl.TLSVersion[name.replace(".", "_")]


class TlsChannel:
    """TLS on a connected socket. The owner of the socket closes it.

    Every method raises `OSError`: as `ssl.SSLError` for TLS, as itself for the socket.
    `handshake_bytes` is the beginning of what came in a handshake that has not ended yet.
    `server_name` is for SNI (RFC 6066 3: a name, never an address).
    """

    def __init__(
        self, socket: ClientSocket, context: ssl.SSLContext, server_name: str | None
    ) -> None:
        self._socket = socket
        self._is_shaking_hands = True
        self.handshake_bytes = b""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    async def handshake(self) -> TlsSession:
        """Shake hands; return the version, the cipher and the chain."""
        # Otherwise the kernel holds back the first command until the end of the handshake is
        # acknowledged, and the timings show that delay as the server's.
        self._socket.without_delay()
        await self._run(self._tls.do_handshake)
        self._is_shaking_hands = False
        self.handshake_bytes = b""
        cipher = self._tls.cipher()
        return TlsSession(
            self._tls.version() or "", cipher[0] if cipher else "", sent_chain(self._tls)
        )

    def channel_binding(self) -> bytes:
        """Return the type of a channel binding, NUL, and its data (RFC 5929).

        TLS 1.3 has no `tls-unique`, and the standard library does not give `tls-exporter`
        (RFC 9266), so `tls-server-end-point` is used there.
        """
        if self._tls.version() != "TLSv1.3":
            return b"tls-unique\0" + (self._tls.get_channel_binding("tls-unique") or b"")
        leaf = self._tls.getpeercert(binary_form=True) or b""
        return b"tls-server-end-point\0" + _end_point(leaf)

    async def receive_some(self) -> bytes:
        """Return some bytes, or none at the end, with or without a TLS farewell."""
        try:
            return await self._run(lambda: self._tls.read(_RECORD_BYTES))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def send_all(self, data: bytes) -> None:
        """Send all of the bytes."""
        await self._run(lambda: self._tls.write(data))

    def end(self) -> None:
        """Tell the server that nothing follows (close_notify, RFC 8446 6.1), without waiting.

        Servers log a connection that ends without it as cut off.
        """
        if self._is_shaking_hands:
            return
        # It raises because the server's own farewell is not here yet, or because of an error
        # before; a connection that failed takes no farewell.
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        self._socket.send_at_once(self._outgoing.read())

    async def _run(self, operation: Callable[[], _Result]) -> _Result:
        """Run an operation of OpenSSL, and move bytes to and from the socket as it asks."""
        while True:
            try:
                result = operation()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError:
                # The outgoing buffer holds the alert that says what is wrong.
                await self._flush()
                raise
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        data = self._outgoing.read()
        while data:
            data = data[await self._socket.send(data) :]

    async def _fill(self) -> None:
        data = await self._socket.recv(_RECORD_BYTES)
        if self._is_shaking_hands:
            self.handshake_bytes = (self.handshake_bytes + data)[:_KEPT_BYTES]
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def _end_point(leaf: bytes) -> bytes:
    """Return the hash of a certificate by its own signature hash (RFC 5929 4.1)."""
    used = x509.load_der_x509_certificate(leaf).signature_hash_algorithm
    is_weak = used is None or isinstance(used, hashes.MD5 | hashes.SHA1)
    digest = hashes.Hash(hashes.SHA256() if is_weak or used is None else used)
    digest.update(leaf)
    return digest.finalize()


def sent_chain(tls: Any) -> tuple[bytes, ...]:  # noqa: ANN401 (ssl.SSLObject and what is in it)
    """Return the certificates that the server sent, leaf first, as DER.

    Python 3.13 has a public method; before, only the object inside `ssl.SSLObject` has it.
    """
    if hasattr(tls, "get_unverified_chain"):
        return tuple(tls.get_unverified_chain())
    chain = tls._sslobj.get_unverified_chain() or ()  # noqa: SLF001 (see above)
    return tuple(each.public_bytes(ENCODING_DER) for each in chain)
