"""Where a master key comes from: from the settings, or from a file in the data folder.

keys/master.key        the master key, when the settings give none
keys/master.key.next   during a change of the master key: the new one

A change writes the new key beside the old one, re-wraps all data keys in one transaction,
and then gives the new key the name of the old one. Whoever looks for the key that fits
finds it at every moment, also after a process was killed anywhere in between.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from domain.errors import MasterKeyError, StoreError
from store.files.data_folder import sync
from store.keys import sealing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_LOOKS: Final = 3
"""How often files are looked at: a change of the master key may move them meanwhile."""


class MasterKeys:
    """The master keys that a process may use. `current` and `new` come from its settings."""

    def __init__(self, path: Path, current: bytes | None = None, new: bytes | None = None) -> None:
        self.path = path
        self.next_path = path.with_name(f"{path.name}.next")
        self._current = current
        self.new = new

    def __repr__(self) -> str:
        return f"MasterKeys({self.path})"

    @property
    def is_in_folder(self) -> bool:
        """Whether the master key stands in the data folder, and not in the settings."""
        return self._current is None

    def first(self) -> bytes | None:
        """Return a master key to begin with, None when there is none."""
        return next(self._candidates(), None)

    def find(self, fingerprint: str) -> bytes | None:
        """Return the master key that has a fingerprint, None when there is none."""
        for _ in range(_LOOKS):
            for key in self._candidates():
                if sealing.fingerprint(key) == fingerprint:
                    return key
        return None

    def make(self) -> bytes:
        """Make a master key and keep it in the folder. Raises StoreError."""
        key = sealing.new_key()
        write_key_file(self.path, key)
        return key

    def prepare(self, key: bytes) -> None:
        """Keep a new master key beside the one in use; whoever reads the file finds it whole."""
        written = self.next_path.with_name(f"{self.next_path.name}.tmp")
        written.unlink(missing_ok=True)
        write_key_file(written, key)
        written.replace(self.next_path)
        sync(self.path.parent)

    def keep(self, key: bytes) -> None:
        """Write a new master key that is in use once more, if its file is gone.

        Another change that was frozen, and undone by the server meanwhile, may have taken it
        for one of its own that was broken off.
        """
        if self.find(sealing.fingerprint(key)) is None:
            self.prepare(key)

    def settle(self, fingerprint: str | None) -> None:
        """Finish, or undo, a change of the master key; `fingerprint` says which one is in use.

        Only inside the key store's transaction: no other process then changes the files.
        """
        key = _read(self.next_path)
        if key is None:
            return
        if sealing.fingerprint(key) == fingerprint:
            self.next_path.replace(self.path)
        else:
            self.next_path.unlink()
        sync(self.path.parent)

    def _candidates(self) -> Iterator[bytes]:
        """Yield the keys there are. The one in use comes first, as long as nothing changes.

        When the file of the new key is not there any more its key has got the old one's name,
        so the order of reading is new before old.
        """
        prepared = _read(self.next_path) if self._current is None else None
        usual = _read(self.path) if self._current is None else self._current
        for key in (usual, prepared, self.new):
            if key is not None:
                yield key


def read_key_file(path: Path) -> bytes:
    """Return the master key in a file. Raises StoreError, MasterKeyError."""
    key = _read(path)
    if key is None:
        raise StoreError(f"there is no file {path}")
    return key


def write_key_file(path: Path, key: bytes) -> None:
    """Write a master key to a new file of its owner only, on disk when this returns.

    Raises StoreError, also when the file is there already: a key is never overwritten. Broken
    off anywhere, it leaves a whole file or none of that name.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        try:
            with os.fdopen(os.open(beside, flags, 0o600), "w") as file:
                file.write(sealing.format_master_key(key) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path) -> bytes | None:
    try:
        return sealing.parse_master_key(path.read_text())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except (MasterKeyError, UnicodeDecodeError) as error:
        raise MasterKeyError(f"{path}: the master key must be 32 bytes in base64") from error
