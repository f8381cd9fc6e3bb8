"""Seals single secrets with AES-256-GCM, and wraps data keys.

A sealed text is bound to its owner (associated data): copied to an event of another monitor
it cannot be opened. Nonces are random, 96 bits (NIST SP 800-38D).
"""

from __future__ import annotations

import hmac
import os
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import MasterKeyError, SecretUnreadableError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_PREFIX: Final = "sealed:v1:"


def new_key() -> bytes:
    """Return 32 random bytes."""
    return os.urandom(KEY_BYTES)


def seal(key: bytes, secret: str, owner: str) -> str:
    """Return the sealed form of a secret that belongs to `owner`."""
    return _PREFIX + b64encode(_encrypt(key, secret.encode(), owner)).decode("ascii")


def unseal(key: bytes, sealed: str, owner: str) -> str:
    """Return the secret. Raises SecretUnreadableError if key, owner or text are wrong."""
    try:
        return _decrypt(key, b64decode(sealed.removeprefix(_PREFIX)), owner).decode()
    except (InvalidTag, ValueError) as error:
        raise SecretUnreadableError("a sealed secret does not fit its key or owner") from error


def wrap_key(master_key: bytes, data_key: bytes, owner: str) -> bytes:
    """Return a data key encrypted under the master key, bound to its owner."""
    return _encrypt(master_key, data_key, owner)


def unwrap_key(master_key: bytes, wrapped: bytes, owner: str) -> bytes:
    """Return the data key. Raises MasterKeyError if the master key is wrong."""
    try:
        return _decrypt(master_key, wrapped, owner)
    except (InvalidTag, ValueError) as error:
        raise MasterKeyError("the master key does not open this store's keys") from error


def format_master_key(key: bytes) -> str:
    """Return the text of a master key, as `parse_master_key` takes it."""
    return b64encode(key).decode("ascii")


def parse_master_key(text: str) -> bytes:
    """Return the 32 bytes of a base64 text. Raises MasterKeyError for another text."""
    try:
        key = b64decode(text.strip(), validate=True)
    except ValueError as error:
        raise MasterKeyError("the master key must be base64") from error
    if len(key) != KEY_BYTES:
        raise MasterKeyError(f"the master key must be {KEY_BYTES} bytes in base64")
    return key


def fingerprint(key: bytes) -> str:
    """Return a short name of a key, which does not reveal it."""
    return sha256(b"postwatch master key" + key).hexdigest()[:16]


def derived_digest_key(master_key: bytes) -> bytes:
    """Return the digest key of stores that were made before the key was stored."""
    return hmac.digest(master_key, b"postwatch digest", "sha256")


def keyed_digest(key: bytes, data: bytes) -> str:
    """Return an HMAC-SHA256 in hexadecimal."""
    return hmac.digest(key, data, "sha256").hex()


def _encrypt(key: bytes, plain: bytes, owner: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, owner.encode())


def _decrypt(key: bytes, data: bytes, owner: str) -> bytes:
    return AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], owner.encode())
