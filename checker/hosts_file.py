"""The hosts file and the names that never leave the machine (RFC 6761 section 6.3).

dnspython asks name servers only, so this comes first, as it does for every mail client.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from checker.addresses import parse_literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from checker.addresses import Address

HOSTS_FILE = Path("/etc/hosts")

# A change of the file is noticed after so long; looking at every lookup would cost more
# than the lookup.
REREAD_SECONDS = 5.0

_LOCALHOST = ("::1", "127.0.0.1")


class HostsFile:
    """Names with fixed addresses. `clock` gives seconds that only ever grow."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._looked = float("-inf")
        self._changed: float | None = None
        self._names: dict[str, list[Address]] = {}

    def find(self, name: str) -> tuple[Address, ...]:
        """Return the addresses of a name (lower case), none when it is not listed."""
        self._refresh()
        found = self._names.get(name)
        if found is None and (name == "localhost" or name.endswith(".localhost")):
            found = [each for text in _LOCALHOST if (each := parse_literal(text)) is not None]
        return tuple(found or ())

    def _refresh(self) -> None:
        if self._clock() - self._looked < REREAD_SECONDS:
            return
        self._looked = self._clock()
        try:
            changed = self._path.stat().st_mtime
            if changed != self._changed:
                self._names = _parse(self._path.read_text("utf-8", "replace"))
                self._changed = changed
        except OSError:
            # No hosts file, or none that we may read: there are no such names.
            self._names, self._changed = {}, None


def _parse(text: str) -> dict[str, list[Address]]:
    names: dict[str, list[Address]] = {}
    for line in text.splitlines():
        address, *listed = line.partition("#")[0].split() or [""]
        parsed = parse_literal(address)
        for name in listed if parsed is not None else ():
            addresses = names.setdefault(name.lower(), [])
            if parsed is not None and parsed not in addresses:
                addresses.append(parsed)
    return names
