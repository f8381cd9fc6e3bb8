"""Tree heads: the size and root of a tree at a moment, signed with Ed25519 (RFC 8032).

A head that is kept outside the store fixes the log up to it: after a change of an earlier event
the log no longer has that root, even if the attacker has the signing key.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from store.proof.merkle import HASH_BYTES, ProofError

if TYPE_CHECKING:
    from collections.abc import Iterator


_SIGNATURE_BYTES: Final = 64
_TYPES: Final = {
    "log": str,
    "size": int,
    "position": int,
    "time": str,
    "rootHash": str,
    "keyId": str,
    "signature": str,
}


@dataclass(frozen=True, slots=True)
class TreeHead:
    """The root over the first `size` events of a log, the last of which is at `position`.

    `time` is ISO 8601 in UTC with milliseconds: when it was signed.
    """

    log: str
    size: int
    position: int
    time: str
    root: bytes
    key_id: str
    signature: bytes

    def as_json(self) -> dict[str, Any]:
        """Return the head as it is stored, shown and published."""
        return {
            "log": self.log,
            "size": self.size,
            "position": self.position,
            "time": self.time,
            "rootHash": self.root.hex(),
            "keyId": self.key_id,
            "signature": self.signature.hex(),
        }


class HeadStore(ABC):
    """Keeps the signed heads of one log; heads are added and never changed.

    `place` names, for people, the file or table.
    """

    place: str

    @abstractmethod
    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield each stored head with the number of its line, from 1."""

    @abstractmethod
    def newest(self, count: int) -> list[TreeHead]:
        """Return the newest heads, newest first. Raises ProofError on a damaged one."""

    @abstractmethod
    def append(self, head: TreeHead) -> bool:
        """Add a head, durably; return False and add nothing unless it is larger than the last."""


class SigningKey:
    """The key that signs heads."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = VerifyingKey(self._private.public_key())

    def __repr__(self) -> str:
        return f"SigningKey({self.public.key_id})"

    def sign(self, log: str, size: int, position: int, time: str, root: bytes) -> TreeHead:
        """Return a signed head."""
        signature = self._private.sign(_signed_bytes(log, size, position, time, root))
        return TreeHead(log, size, position, time, root, self.public.key_id, signature)


class VerifyingKey:
    """The public half of a signing key."""

    def __init__(self, public: Ed25519PublicKey) -> None:
        self._public = public
        self.raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = sha256(self.raw).hexdigest()[:16]

    @classmethod
    def from_hex(cls, text: str) -> VerifyingKey:
        """Return the key of 64 hexadecimal digits. Raises ProofError for another text."""
        try:
            return cls(Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.strip())))
        except ValueError:
            raise ProofError("a public key is 64 hexadecimal digits") from None

    def pem(self) -> str:
        """Return the key in PEM, as OpenSSL reads it."""
        return self._public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def signed(self, head: TreeHead) -> bool:
        """Return whether this key signed exactly this head."""
        data = _signed_bytes(head.log, head.size, head.position, head.time, head.root)
        try:
            self._public.verify(head.signature, data)
        except InvalidSignature:
            return False
        return head.key_id == self.key_id


def parse_head(line: bytes) -> TreeHead:
    """Return the head of a line of JSON. Raises ProofError for anything else."""
    head = _read_head(line)
    if head is None or len(head.root) != HASH_BYTES or len(head.signature) != _SIGNATURE_BYTES:
        raise ProofError("this is no signed tree head")
    return head


def _read_head(line: bytes) -> TreeHead | None:
    try:
        found = orjson.loads(line)
        if not isinstance(found, dict) or {k: type(v) for k, v in found.items()} != _TYPES:
            return None
        root, signature = bytes.fromhex(found["rootHash"]), bytes.fromhex(found["signature"])
    except ValueError:
        return None
    return TreeHead(
        log=found["log"],
        size=found["size"],
        position=found["position"],
        time=found["time"],
        root=root,
        key_id=found["keyId"],
        signature=signature,
    )


def _signed_bytes(log: str, size: int, position: int, time: str, root: bytes) -> bytes:
    return f"postwatch tree head v1\n{log}\n{size}\n{position}\n{time}\n{root.hex()}\n".encode()
