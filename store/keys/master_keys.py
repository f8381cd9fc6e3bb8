"""The master keys of a process: from its settings, or from files in the data folder.

keys/master.key        the master key, when the settings give none
keys/master.key.next   during a change of the master key: the new one

A change writes the new key beside the old one, rewraps all data keys in one transaction, and
then renames the new file to the old name. So the key that fits is found at every moment,
also after a process was killed anywhere in between.
"""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from domain.errors import MasterKeyError, StoreError
from store.files.data_folder import sync
from store.keys import sealing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_ATTEMPTS: Final = 3
"""How often the files are read: a change of the master key may rename them meanwhile."""


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
        """Whether the master key is in the data folder, and not in the settings."""
        return self._current is None

    def first(self) -> bytes | None:
        """Return the first master key found, None when there is none."""
        return next(self._candidates(), None)

    def find(self, fingerprint: str) -> bytes | None:
        """Return the master key that has a fingerprint, None when there is none."""
        for _ in range(_ATTEMPTS):
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
        """Write a new master key beside the one in use, atomically."""
        written = self.next_path.with_name(f"{self.next_path.name}.tmp")
        written.unlink(missing_ok=True)
        write_key_file(written, key)
        written.replace(self.next_path)
        sync(self.path.parent)

    def keep(self, key: bytes) -> None:
        """Write the file of a new master key again if it is gone, after the change to it.

        Another process may have deleted it: one that was frozen during its own change, whose
        transaction the server rolled back, and that then took the file for a leftover.
        """
        if self.find(sealing.fingerprint(key)) is None:
            self.prepare(key)

    def settle(self, fingerprint: str | None) -> None:
        """Finish, or undo, a change of the master key; `fingerprint` says which one is in use.

        Only inside a transaction of the key store: then no other process changes the files.
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
        """Yield all keys. The one in use comes first, unless it is being changed.

        The new file is read before the old one: if it is gone, it has been renamed, and its
        key is read under the old name.
        """
        prepared = _read(self.next_path) if self._current is None else None
        usual = _read(self.path) if self._current is None else self._current
        for key in (usual, prepared, self.new):
            if key is not None:
                yield key


def read_key_file(path: Path) -> bytes:
    """Return the master key in a file. Raises StoreError, MasterKeyError."""
    key = _read(path, must_be_private=False)
    if key is None:
        raise StoreError(f"there is no file {path}")
    return key


def write_key_file(path: Path, key: bytes) -> None:
    """Write a master key to a new file, private to its owner, atomically and durably.

    Raises StoreError, also when the file exists: a key is never overwritten.
    """
    # A name that nobody can guess, so that nobody can put a file or a link of that name there.
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(beside, flags, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(sealing.format_master_key(key) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def _read(path: Path, *, must_be_private: bool = True) -> bytes | None:
    try:
        with path.open(encoding="utf-8") as file:
            if must_be_private:
                _require_private(path, os.fstat(file.fileno()).st_mode)
            return sealing.parse_master_key(file.read())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except (MasterKeyError, UnicodeDecodeError) as error:
        raise MasterKeyError(f"{path}: the master key must be 32 bytes in base64") from error


def _require_private(path: Path, mode: int) -> None:
    """Raise StoreError when other accounts than the owner's may read or replace a key."""
    if stat.S_IMODE(mode) & 0o077:
        raise StoreError(
            f"{path} has mode {stat.S_IMODE(mode):04o}, so that other accounts of this host may "
            f"read or change the master key: run `chmod 600 {path}`; if they could read it, "
            "change it afterwards by `postwatch keys rotate`"
        )
