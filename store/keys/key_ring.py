"""Data keys: one for each owner of secrets, wrapped by the master key.

The keys are kept outside the logs, so that destroying one makes a secret unreadable for ever
although the log that holds it never changes.

All keys of a store are wrapped by one master key. Its fingerprint is stored with them and
read together with them. A process that reads another fingerprint than that of its master key
looks for the new one, so it keeps working during a change of the master key.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, NamedTuple

from domain.errors import KeyStoreUnavailableError, MasterKeyError, SecretUnreadableError
from store.keys import sealing
from store.ports.errors import STORE_UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from uuid import UUID

    FindMasterKey = Callable[[str], bytes | None]
    """Returns the master key that has a fingerprint, None when it is not found."""
    Wrap = Callable[[str, bytes], bytes]
    """Takes an owner and its wrapped key, and returns the key wrapped by another master key."""


DIGEST_KEY: Final = "request-digest"
"""The owner of the key for digests of requests. It is no monitor's id."""

SIGNING_KEY: Final = "tree-head-signing"
"""The owner of the key that signs tree heads."""


class WrappedKey(NamedTuple):
    """A data key as it is stored, and the fingerprint of the master key that wraps it."""

    wrapped: bytes
    master: str


class KeyTable(ABC):
    """All keys, inside a transaction that locks out other writers."""

    @abstractmethod
    def master_fingerprint(self) -> str | None:
        """Return the fingerprint of the master key that wraps the keys, None when new."""

    @abstractmethod
    def all(self) -> list[tuple[str, bytes]]:
        """Return every owner with its wrapped key, in the order of owners."""

    @abstractmethod
    def replace(self, master: str, keys: Iterable[tuple[str, bytes]]) -> None:
        """Replace all wrapped keys, and the fingerprint of their master key."""


class Rewrapping(ABC):
    """A change of the master key, inside a transaction that locks out another change."""

    @abstractmethod
    def master_fingerprint(self) -> str | None:
        """Return the fingerprint of the master key that wraps the keys, None when new."""

    @abstractmethod
    def count(self) -> int:
        """Return how many keys there are now."""

    @abstractmethod
    def rewrap(self, master: str, wrap: Wrap) -> int:
        """Rewrap every key, those added meanwhile too; return how many there were.

        `master` is the fingerprint of the new master key.
        """


class KeyStore(ABC):
    """Keeps wrapped data keys. Every change is durable when its method returns."""

    @abstractmethod
    def master_fingerprint(self) -> str | None:
        """Return the fingerprint of the master key that wraps the keys, None when new."""

    @abstractmethod
    def set_master_fingerprint(self, fingerprint: str) -> None:
        """Record which master key wraps the keys, unless one is recorded."""

    @abstractmethod
    def get(self, owner: str) -> WrappedKey | None:
        """Return the wrapped data key of an owner, None when there is none."""

    @abstractmethod
    def add(self, owner: str, key: WrappedKey) -> WrappedKey | None:
        """Add a wrapped key unless the owner has one; return the one that is kept.

        None, and nothing is added, when another master key than `key.master` wraps the keys.
        """

    @abstractmethod
    def destroy(self, owner: str) -> None:
        """Overwrite and remove the owner's key."""

    @abstractmethod
    def owners(self) -> list[str]:
        """Return every owner of a key."""

    @abstractmethod
    def table(self) -> AbstractContextManager[KeyTable]:
        """Open a transaction on all keys; it ends with everything or nothing changed."""

    @abstractmethod
    def rewrapping(self) -> AbstractContextManager[Rewrapping]:
        """Open a change of the master key; it ends with everything or nothing changed.

        Other writers may have to wait until its end.
        """

    @abstractmethod
    def close(self) -> None:
        """Close what the store holds open."""


class KeyRing:
    """Seals and unseals secrets of owners (monitors)."""

    def __init__(
        self, store: KeyStore, master_key: bytes, find: FindMasterKey = lambda _: None
    ) -> None:
        """Check the master key against the store. `find` returns other master keys by fingerprint.

        Raises MasterKeyError if the store's keys are wrapped by a master key that is neither.
        """
        self.store = store
        self._find = find
        self._master_key = master_key
        self._digest_key: bytes | None = None
        is_new = store.master_fingerprint() is None
        if is_new:
            store.set_master_fingerprint(sealing.fingerprint(master_key))
        self._master_key_for(store.master_fingerprint() or "")
        self._make_digest_key(is_new=is_new)

    def __repr__(self) -> str:
        return f"KeyRing(master_key={sealing.fingerprint(self._master_key)})"

    def seal(self, owner: UUID, secret: str) -> str:
        """Return the sealed secret; the owner's data key is made when there is none."""
        name = str(owner)
        found = self.store.get(name)
        data_key = self._open(found, name) if found else self._add(name, sealing.new_key())
        return sealing.seal(data_key, secret, name)

    def unseal(self, owner: UUID, sealed: str) -> str:
        """Return the secret. Raises SecretUnreadableError when its key was destroyed."""
        name = str(owner)
        found = self.store.get(name)
        if found is None:
            raise SecretUnreadableError(f"the data key of monitor {name} was destroyed")
        return sealing.unseal(self._open(found, name), sealed, name)

    def digest(self, data: bytes) -> str:
        """Return a keyed digest, so that data cannot be guessed without the master key.

        The digest of the same data stays the same, also under another master key.
        """
        if self._digest_key is None:
            found = self.store.get(DIGEST_KEY)
            if found is None:
                raise MasterKeyError("the key store lacks the key for digests of requests")
            self._digest_key = self._open(found, DIGEST_KEY)
        return sealing.keyed_digest(self._digest_key, data)

    def signing_seed(self) -> bytes:
        """Return the 32 secret bytes of this store's signing key, made at the first use.

        It is kept like a data key, so it is rewrapped and backed up together with them.
        """
        found = self.store.get(SIGNING_KEY)
        if found is not None:
            return self._open(found, SIGNING_KEY)
        return self._add(SIGNING_KEY, sealing.new_key())

    def destroy(self, owner: UUID) -> None:
        """Make every secret of the owner unreadable for ever.

        Raises KeyStoreUnavailableError when the key store takes no change now.
        """
        try:
            self.store.destroy(str(owner))
        except STORE_UNAVAILABLE as error:
            raise KeyStoreUnavailableError(type(error).__name__) from error

    def close(self) -> None:
        """Close the key store."""
        self.store.close()

    def _open(self, key: WrappedKey, name: str) -> bytes:
        return sealing.unwrap_key(self._master_key_for(key.master), key.wrapped, name)

    def _add(self, name: str, data_key: bytes) -> bytes:
        """Add a data key unless there is one; return the one that is kept."""
        while True:
            master_key = self._master_key_for(self.store.master_fingerprint() or "")
            wrapped = sealing.wrap_key(master_key, data_key, name)
            kept = self.store.add(name, WrappedKey(wrapped, sealing.fingerprint(master_key)))
            if kept is not None:
                return self._open(kept, name)

    def _master_key_for(self, fingerprint: str) -> bytes:
        """Return the master key with a fingerprint: the held one, or one that is found and held."""
        held = self._master_key
        if sealing.fingerprint(held) == fingerprint:
            return held
        found = self._find(fingerprint)
        if found is None:
            raise MasterKeyError(
                f"the keys of this store are wrapped by master key {fingerprint}, "
                f"the one given is {sealing.fingerprint(held)}"
            )
        self._master_key = found
        return found

    def _make_digest_key(self, *, is_new: bool) -> None:
        """Make the key for digests, so that a store of an older version keeps its digests."""
        if self.store.get(DIGEST_KEY) is None:
            key = sealing.new_key() if is_new else sealing.derived_digest_key(self._master_key)
            self._add(DIGEST_KEY, key)
