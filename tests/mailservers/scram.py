"""The server's side of SCRAM for scripts, written apart from the product (RFC 5802 3)."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

SALT = b"salt of the server"


@dataclass
class ScramServer:
    """One login of a user whose password the server knows."""

    password: str
    hash_name: str = "sha256"
    rounds: int = 4096
    binding: bytes = b""
    header: bytes = field(default=b"", init=False)
    _bare: bytes = field(default=b"", init=False)
    _first: bytes = field(default=b"", init=False)

    def first(self, client_first: bytes) -> bytes:
        """Return the server's first message for the client's, both in base64."""
        gs2, _, bare = b64decode(client_first).partition(b"n=")
        self.header, self._bare = gs2, b"n=" + bare
        nonce = self._bare.partition(b"r=")[2] + b"more-from-the-server"
        self._first = b"r=%b,s=%b,i=%d" % (nonce, b64encode(SALT), self.rounds)
        return b64encode(self._first)

    def final(self, client_final: bytes) -> bytes:
        """Return the server's proof in base64; b"" when that of the client is wrong."""
        without_proof, _, proof = b64decode(client_final).rpartition(b",p=")
        channel = b64decode(without_proof.split(b",")[0].removeprefix(b"c="))
        if channel != self.header + self.binding:
            return b""
        salted = hashlib.pbkdf2_hmac(self.hash_name, self.password.encode(), SALT, self.rounds)
        signed = b",".join((self._bare, self._first, without_proof))
        key = hmac.digest(salted, b"Client Key", self.hash_name)
        stored = hashlib.new(self.hash_name, key).digest()
        mask = hmac.digest(stored, signed, self.hash_name)
        if bytes(a ^ b for a, b in zip(b64decode(proof), mask, strict=True)) != key:
            return b""
        server_key = hmac.digest(salted, b"Server Key", self.hash_name)
        return b64encode(b"v=" + b64encode(hmac.digest(server_key, signed, self.hash_name)))
