"""Derives keys from passwords for SCRAM (PBKDF2), beside the loop, and keeps them.

A server chooses how much work that is: some milliseconds for most, half a second at the limit of
`mail.protocols.scram`. A server keeps its salt, so a password is derived once.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from mail.protocols.dialogue import DeriveKey


MOST_KEYS: Final = 2000
"""A key takes about 300 bytes; a server that changes its salt each time pushes older ones out."""

_THREADS: Final = 2
"""So a few servers that ask for much work take no more of this machine than this."""


class PasswordKeys:
    """The derived keys of a process, the latest `most_keys` of them."""

    def __init__(self, most_keys: int = MOST_KEYS) -> None:
        self._most_keys = most_keys
        self._keys: OrderedDict[tuple[str, bytes, bytes, int], bytes] = OrderedDict()
        self._threads = trio.CapacityLimiter(_THREADS)

    async def derive(self, asked: DeriveKey) -> bytes:
        """Return the key for a password, a salt and a number of rounds."""
        name = (asked.hash_name, asked.password, asked.salt, asked.iterations)
        key = self._keys.get(name)
        if key is None:
            key = await trio.to_thread.run_sync(
                hashlib.pbkdf2_hmac, *name, abandon_on_cancel=True, limiter=self._threads
            )
            self._keys[name] = key
            if len(self._keys) > self._most_keys:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(name)
        return key
