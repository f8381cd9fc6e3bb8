"""Changes the master key while everything runs, and destroys keys that were left over.

A change may be broken off anywhere. Until its transaction ends the old master key wraps all
data keys, from then on the new one; meanwhile both are in their files (see `master_keys`).
Running processes read the new fingerprint together with the next data key, and then look for
the new master key.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from domain.errors import ConflictError, MasterKeyError
from domain.monitor import Monitor
from store.keys import sealing
from store.keys.key_ring import DIGEST_KEY, SIGNING_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from domain.monitoring import Monitoring
    from store.keys.key_ring import KeyRing, KeyStore, Wrap
    from store.keys.master_keys import MasterKeys


_PAGE: Final = 5000
_REPORT_EVERY: Final = 1000


class RotationResult(NamedTuple):
    """What a change of the master key did: both fingerprints, and how many keys it rewrapped."""

    before: str
    after: str
    keys: int


def rotate(
    store: KeyStore, master_keys: MasterKeys, report: Callable[[int, int], None] = lambda *_: None
) -> RotationResult:
    """Rewrap all data keys by a new master key: the one of the settings, or one made here.

    `report` gets how many keys are done, and how many there are. Raises ConflictError when
    there is no new key to change to, MasterKeyError when a data key does not open; nothing is
    changed then.
    """
    try:
        with store.rewrapping() as change:
            before = change.master_fingerprint() or ""
            master_keys.settle(before)
            old, new = _keys_to_change(master_keys, before)
            after = sealing.fingerprint(new)
            if master_keys.new is None:
                master_keys.prepare(new)
            keys = change.rewrap(after, _reporting_wrap(old, new, change.count(), report))
    finally:
        finish_rotation(store, master_keys)
    if master_keys.new is None:
        with store.table() as table:
            if table.master_fingerprint() == after:
                master_keys.keep(new)
    return RotationResult(before, after, keys)


def finish_rotation(store: KeyStore, master_keys: MasterKeys) -> None:
    """Rename or delete the file of a new master key after a change that was broken off."""
    if not master_keys.next_path.exists():
        return
    with store.table() as table:
        master_keys.settle(table.master_fingerprint())


def rewrapped(keys: list[tuple[str, bytes]], old: bytes, new: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield keys rewrapped by another master key. Raises MasterKeyError if one does not open."""
    for owner, wrapped in keys:
        yield owner, _rewrapped(owner, wrapped, old, new)


def _reporting_wrap(old: bytes, new: bytes, keys: int, report: Callable[[int, int], None]) -> Wrap:
    """Return a function that rewraps one key after the other, and reports the progress."""
    numbers = count(1)

    def wrap(owner: str, wrapped: bytes) -> bytes:
        rewrapped_key = _rewrapped(owner, wrapped, old, new)
        done = next(numbers)
        # Keys may be added meanwhile.
        if done % _REPORT_EVERY == 0 or done >= keys:
            report(done, max(keys, done))
        return rewrapped_key

    return wrap


def _rewrapped(owner: str, wrapped: bytes, old: bytes, new: bytes) -> bytes:
    return sealing.wrap_key(new, sealing.unwrap_key(old, wrapped, owner), owner)


def destroy_left_over(monitoring: Monitoring, ring: KeyRing) -> int:
    """Destroy the keys of deleted monitors; return how many there were.

    A process that is killed between the last event of a monitor and the destruction of its
    key leaves such a key. A key without a monitor in the log stays: the key of a monitor that
    is being created comes first.
    """
    owners = set(ring.store.owners()) - {DIGEST_KEY, SIGNING_KEY}
    left_over = [each for each in _deleted(monitoring) if str(each) in owners] if owners else []
    for owner in left_over:
        ring.destroy(owner)
    return len(left_over)


def _keys_to_change(master_keys: MasterKeys, before: str) -> tuple[bytes, bytes]:
    old = master_keys.find(before)
    if old is None:
        raise MasterKeyError(f"the keys of this store are wrapped by master key {before}")
    new = master_keys.new
    if new is None and not master_keys.is_in_folder:
        raise ConflictError(
            "the master key comes from POSTWATCH_MASTER_KEY, so the new one must be given too, "
            "by POSTWATCH_NEW_MASTER_KEY (or POSTWATCH_NEW_MASTER_KEY_FILE)"
        )
    if new == old:
        raise ConflictError(f"the keys are wrapped by the new master key {before} already")
    return old, new or sealing.new_key()


def _deleted(monitoring: Monitoring) -> Iterator[UUID]:
    position = 0
    while True:
        page = monitoring.recorder.select_notifications(
            start=position,
            limit=_PAGE,
            topics=[Monitor.Deleted.TOPIC],
            inclusive_of_start=False,
        )
        for each in page:
            yield each.originator_id  # type: ignore[misc] # ids are UUIDs here
        if len(page) < _PAGE:
            return
        position = page[-1].id
