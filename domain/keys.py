"""Data keys: one for each owner of secrets, wrapped by the master key.

The keys stand outside the logs, so that destroying one makes a secret unreadable for
ever although the log that holds it never changes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from domain import sealing
from domain.errors import MasterKeyError, SecretUnreadableError

if TYPE_CHECKING:
    from uuid import UUID


class KeyStore(ABC):
    """Where wrapped data keys are kept. Every change is durable when a method returns."""

    @abstractmethod
    def master_fingerprint(self) -> str | None:
        """Return the fingerprint of the master key that wraps the keys, None when new."""

    @abstractmethod
    def set_master_fingerprint(self, fingerprint: str) -> None:
        """Record which master key wraps the keys; the first one to do so wins."""

    @abstractmethod
    def get(self, owner: str) -> bytes | None:
        """Return the wrapped data key of an owner, None when there is none."""

    @abstractmethod
    def add(self, owner: str, wrapped: bytes) -> bytes:
        """Keep a wrapped key unless the owner has one; return the one that is kept."""

    @abstractmethod
    def destroy(self, owner: str) -> None:
        """Overwrite and remove the owner's key."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the store holds open."""


class KeyRing:
    """Seals and unseals secrets of owners (monitors)."""

    def __init__(self, store: KeyStore, master_key: bytes) -> None:
        """Check the master key against the store.

        Raises MasterKeyError if the store's keys are wrapped by another master key.
        """
        self._store = store
        self._master_key = master_key
        mine = sealing.fingerprint(master_key)
        if store.master_fingerprint() is None:
            store.set_master_fingerprint(mine)
        theirs = store.master_fingerprint()
        if theirs != mine:
            raise MasterKeyError(
                f"this store was made with master key {theirs}, the one given is {mine}"
            )

    def __repr__(self) -> str:
        return f"KeyRing(master_key={sealing.fingerprint(self._master_key)})"

    def seal(self, owner: UUID, secret: str) -> str:
        """Return the sealed secret; the owner's data key is made when there is none."""
        name = str(owner)
        wrapped = self._store.get(name) or self._store.add(
            name, sealing.wrap_key(self._master_key, sealing.new_key(), name)
        )
        return sealing.seal(sealing.unwrap_key(self._master_key, wrapped, name), secret, name)

    def unseal(self, owner: UUID, sealed: str) -> str:
        """Return the secret. Raises SecretUnreadableError when its key was destroyed."""
        name = str(owner)
        wrapped = self._store.get(name)
        if wrapped is None:
            raise SecretUnreadableError(f"the data key of monitor {name} was destroyed")
        return sealing.unseal(sealing.unwrap_key(self._master_key, wrapped, name), sealed, name)

    def digest(self, data: bytes) -> str:
        """Return a keyed digest: nobody without the master key can guess at the data."""
        return sealing.keyed_digest(self._master_key, data)

    def destroy(self, owner: UUID) -> None:
        """Make every secret of the owner unreadable for ever."""
        self._store.destroy(str(owner))

    def close(self) -> None:
        """Close the key store."""
        self._store.close()
