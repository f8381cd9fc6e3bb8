"""Sealed secrets: bound to their owner, lost with their key, unreadable by another master key."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.commands import UpdateMonitor
from domain.errors import MasterKeyError, SecretUnreadableError
from store.keys import sealing
from store.keys.key_ring import KeyRing, WrappedKey
from store.sqlite.keys import SqliteKeyStore
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


KEY = bytes(range(32))


@pytest.fixture
def keys(place: Place) -> Iterator[KeyRing]:
    """A key ring on an empty key store."""
    with place.engine() as engine:
        yield KeyRing(engine.keys(create=True), KEY)


@given(secret=st.text(st.characters(exclude_categories=["Cs"])), owner=st.uuids())
@settings(deadline=None)
def test_a_sealed_secret_opens_with_its_key_and_owner(secret: str, owner: object) -> None:
    sealed = sealing.seal(KEY, secret, str(owner))

    assert sealing.unseal(KEY, sealed, str(owner)) == secret
    assert sealed.startswith("sealed:v1:")


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    assert sealing.seal(KEY, "secret", "owner") != sealing.seal(KEY, "secret", "owner")


def test_a_sealed_secret_moved_to_another_owner_cannot_be_opened(keys: KeyRing) -> None:
    mine, other = uuid4(), uuid4()
    sealed = keys.seal(mine, "secret")
    keys.seal(other, "something")

    with pytest.raises(SecretUnreadableError, match="does not fit its key or owner"):
        keys.unseal(other, sealed)
    with pytest.raises(SecretUnreadableError):
        sealing.unseal(KEY, sealing.seal(KEY, "secret", "mine"), "other")


def test_a_changed_sealed_text_cannot_be_opened() -> None:
    sealed = sealing.seal(KEY, "secret", "owner")
    last = "A" if sealed[-5] != "A" else "B"

    for broken in (
        sealed[:-5] + last + sealed[-4:],
        sealed[:-8],
        "sealed:v1:",
        "secret",
        "sealed:v1:é",
    ):
        with pytest.raises(SecretUnreadableError) as refusal:
            sealing.unseal(KEY, broken, "owner")
        assert "secret" not in str(refusal.value).replace("sealed secret", "")


def test_a_destroyed_key_makes_its_secrets_unreadable_and_no_others(keys: KeyRing) -> None:
    mine, other = uuid4(), uuid4()
    sealed, kept = keys.seal(mine, "secret"), keys.seal(other, "kept")

    keys.destroy(mine)
    keys.destroy(mine)

    with pytest.raises(SecretUnreadableError, match="was destroyed"):
        keys.unseal(mine, sealed)
    assert keys.unseal(other, kept) == "kept"


def test_a_key_made_after_a_destroyed_one_does_not_open_the_old_secret(keys: KeyRing) -> None:
    owner = uuid4()
    old = keys.seal(owner, "old")
    keys.destroy(owner)

    new = keys.seal(owner, "new")

    assert keys.unseal(owner, new) == "new"
    with pytest.raises(SecretUnreadableError):
        keys.unseal(owner, old)


def test_a_destroyed_key_is_overwritten_in_its_file(tmp_path: Path) -> None:
    store = SqliteKeyStore(tmp_path / "keys.db", create=True)
    wrapped = b"canary-of-a-wrapped-key-" * 4
    store.set_master_fingerprint("fingerprint")
    store.add("owner", WrappedKey(wrapped, "fingerprint"))
    assert wrapped in (tmp_path / "keys.db").read_bytes()

    store.destroy("owner")

    assert all(b"canary-of-a-wrapped" not in file.read_bytes() for file in tmp_path.iterdir())


def test_another_master_key_is_refused_by_fingerprint(keys: KeyRing) -> None:
    other = sealing.new_key()

    with pytest.raises(MasterKeyError) as refusal:
        KeyRing(keys.store, other)

    assert sealing.fingerprint(KEY) in str(refusal.value)
    assert sealing.fingerprint(other) in str(refusal.value)
    assert sealing.fingerprint(KEY) in repr(keys)


def test_a_wrapped_key_does_not_open_under_another_master_key_or_owner() -> None:
    wrapped = sealing.wrap_key(KEY, sealing.new_key(), "owner")

    with pytest.raises(MasterKeyError):
        sealing.unwrap_key(sealing.new_key(), wrapped, "owner")
    with pytest.raises(MasterKeyError):
        sealing.unwrap_key(KEY, wrapped, "other")
    with pytest.raises(MasterKeyError):
        sealing.unwrap_key(KEY, b"short", "owner")


def test_a_master_key_is_32_bytes_in_base64() -> None:
    assert sealing.parse_master_key(f" {b64encode(KEY).decode()}\n") == KEY
    for wrong in ("", "AAAA", "not base64!", b64encode(KEY + b"x").decode(), "é" * 44):
        with pytest.raises(MasterKeyError) as refusal:
            sealing.parse_master_key(wrong)
        assert not wrong or wrong not in str(refusal.value)


def test_a_secret_is_sealed_in_the_log_and_opened_for_the_checker(
    store: Store, owners: Owners
) -> None:
    config = {"auth": {"user": "u", "pass": "secret"}, "secure": True}
    monitor = store.monitoring.create_monitor(owners.create(config=config), TESTER)
    sealed = monitor.config

    assert sealed["auth"]["pass"].startswith("sealed:v1:")
    assert store.monitoring.unsealed(monitor.id, "smtp", sealed) == config


def test_deleting_a_monitor_destroys_its_secrets_old_and_new(store: Store, owners: Owners) -> None:
    config = {"auth": {"user": "u", "pass": "old"}}
    first = store.monitoring.create_monitor(owners.create(config=config), TESTER)
    changes = {"config": {"auth": {"user": "u", "pass": "new"}}}
    second = store.monitoring.update_monitor(UpdateMonitor(first.id, changes), TESTER)

    store.monitoring.delete_monitor(first.id, TESTER)

    for each in (first, second):
        with pytest.raises(SecretUnreadableError):
            store.monitoring.unsealed(first.id, "smtp", each.config)


def test_a_new_secret_replaces_one_whose_key_is_lost(store: Store, owners: Owners) -> None:
    config = {"auth": {"user": "u", "pass": "old"}}
    monitor = store.monitoring.create_monitor(owners.create(config=config), TESTER)
    store.keys.destroy(monitor.id)
    changes = {"config": {"auth": {"user": "u", "pass": "new"}}}

    changed = store.monitoring.update_monitor(UpdateMonitor(monitor.id, changes), TESTER)

    clear = store.monitoring.unsealed(monitor.id, "smtp", changed.config)
    assert clear == changes["config"]
