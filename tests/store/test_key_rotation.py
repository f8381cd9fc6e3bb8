"""Changes of the master key: no secret is lost, whichever process runs or is killed meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from domain.errors import ConflictError, MasterKeyError, SecretUnreadableError, StoreError
from store.keys import sealing
from store.keys.key_ring import DIGEST_KEY, KeyRing
from store.keys.master_keys import MasterKeys, read_key_file, write_key_file
from store.keys.rotation import destroy_left_over, finish_rotation, rotate
from store.ports.errors import DatabaseUnavailableError
from tests.domain.given import TESTER
from tests.places import on_postgres, on_sqlite
from tests.system.service import ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from store.keys.key_ring import KeyStore
    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


KEY = bytes(range(32))
IDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(1, 2500)]


def rotated(place: Place) -> str:
    """Change the master key as another process would; return the new fingerprint."""
    with place.open() as other:
        return rotate(other.keys.store, other.master_keys).after


def test_an_open_store_reads_and_writes_on_under_a_new_master_key(
    store: Store, place: Place
) -> None:
    mine, later = uuid4(), uuid4()
    sealed = store.keys.seal(mine, "secret")
    before = store.folder.master_key.read_text()

    after = rotated(place)

    assert store.keys.unseal(mine, sealed) == "secret"
    new = store.keys.seal(later, "sealed after")
    assert store.folder.master_key.read_text() != before
    assert sealing.fingerprint(read_key_file(store.folder.master_key)) == after
    assert store.folder.master_key.stat().st_mode & 0o777 == 0o600
    with place.open() as fresh:
        assert fresh.keys.unseal(mine, sealed) == "secret"
        assert fresh.keys.unseal(later, new) == "sealed after"


def test_a_key_made_after_a_change_is_wrapped_by_the_new_master_key_also_by_an_open_store(
    store: Store, place: Place
) -> None:
    after = rotated(place)
    owner = uuid4()

    store.keys.seal(owner, "the first thing that this process hears of the change")

    kept = store.keys.store.get(str(owner))
    assert kept is not None
    assert kept.master == after
    new = read_key_file(store.folder.master_key)
    assert len(sealing.unwrap_key(new, kept.wrapped, str(owner))) == 32


def test_the_old_master_key_opens_nothing_any_more(store: Store, place: Place) -> None:
    old = read_key_file(store.folder.master_key)
    owner = uuid4()
    store.keys.seal(owner, "secret")

    rotated(place)

    with pytest.raises(MasterKeyError, match="are wrapped by master key"):
        place.open(old)
    for name, wrapped in all_keys(store):
        with pytest.raises(MasterKeyError):
            sealing.unwrap_key(old, wrapped, name)


def all_keys(store: Store) -> list[tuple[str, bytes]]:
    with store.keys.store.table() as table:
        return table.all()


def test_requests_are_digested_alike_before_and_after_a_change(store: Store, place: Place) -> None:
    before = store.keys.digest(b"request")

    rotated(place)

    with place.open() as fresh:
        assert fresh.keys.digest(b"request") == before
    assert store.keys.digest(b"request") == before


@pytest.fixture
def keys(place: Place) -> Iterator[KeyStore]:
    """A place for keys, with none in it."""
    with place.engine() as engine:
        yield engine.keys(create=True)


def test_a_store_from_before_digests_had_a_key_keeps_its_digests(
    keys: KeyStore, tmp_path: Path
) -> None:
    keys.set_master_fingerprint(sealing.fingerprint(KEY))
    old_digest = sealing.keyed_digest(sealing.derived_digest_key(KEY), b"request")

    assert KeyRing(keys, KEY).digest(b"request") == old_digest
    new = sealing.new_key()
    rotate(keys, MasterKeys(tmp_path / "master.key", KEY, new))

    assert KeyRing(keys, new).digest(b"request") == old_digest


def test_a_new_store_has_a_digest_key_that_does_not_come_from_the_master_key(
    keys: KeyStore,
) -> None:
    ring = KeyRing(keys, KEY)

    derived = sealing.keyed_digest(sealing.derived_digest_key(KEY), b"request")

    assert ring.digest(b"request") != derived


def test_a_master_key_from_the_settings_is_changed_to_one_from_the_settings(
    place: Place,
) -> None:
    old, new = sealing.new_key(), sealing.new_key()
    owner = uuid4()
    with place.create(old, new) as running, place.open(old) as unprepared:
        sealed = running.keys.seal(owner, "secret")

        done = rotate(running.keys.store, running.master_keys)

        assert (done.before, done.after) == (sealing.fingerprint(old), sealing.fingerprint(new))
        assert running.keys.unseal(owner, sealed) == "secret"
        with pytest.raises(MasterKeyError):
            unprepared.keys.unseal(owner, sealed)
    assert list(place.root.rglob("*master*")) == []
    with place.open(new) as started_again:
        assert started_again.keys.unseal(owner, sealed) == "secret"


def test_a_master_key_in_the_folder_is_changed_to_one_from_the_settings(
    store: Store, place: Place
) -> None:
    new = sealing.new_key()
    sealed = store.keys.seal(owner := uuid4(), "secret")
    with place.open(None, new) as prepared:
        rotate(prepared.keys.store, prepared.master_keys)
        assert prepared.keys.unseal(owner, sealed) == "secret"

    with place.open(new) as fresh:
        assert fresh.keys.unseal(owner, sealed) == "secret"


@pytest.mark.parametrize("new", [None, KEY])
def test_a_change_needs_another_key_to_change_to(place: Place, new: bytes | None) -> None:
    with place.create(KEY, new) as store:
        before = all_keys(store)
        with pytest.raises(ConflictError, match="new"):
            rotate(store.keys.store, store.master_keys)
        assert all_keys(store) == before


def test_a_damaged_data_key_stops_the_change_and_nothing_is_changed(
    store: Store, place: Place
) -> None:
    store.keys.seal(uuid4(), "secret")
    with store.keys.store.table() as table:
        table.replace(table.master_fingerprint() or "", [*table.all(), ("z-damaged", b"x" * 60)])
    before = (all_keys(store), store.folder.master_key.read_text())

    with pytest.raises(MasterKeyError, match="does not open"):
        rotated(place)

    assert (all_keys(store), store.folder.master_key.read_text()) == before
    assert not store.master_keys.next_path.exists()


@on_sqlite
def test_the_old_wrapped_keys_are_overwritten_in_the_file(store: Store, place: Place) -> None:
    for _ in range(50):
        store.keys.seal(uuid4(), "secret")
    before = [wrapped for _, wrapped in all_keys(store)]
    content = store.folder.keys.read_bytes()
    assert all(wrapped in content for wrapped in before)

    rotated(place)

    content = store.folder.keys.read_bytes()
    assert [wrapped for wrapped in before if wrapped in content] == []


def test_readers_and_writers_never_fail_while_the_master_key_changes(
    store: Store, place: Place
) -> None:
    owners = [uuid4() for _ in range(20)]
    sealed = {owner: store.keys.seal(owner, f"secret of {owner}") for owner in owners}
    stop = threading.Event()
    rounds = [0] * 4

    def use(number: int) -> None:
        with place.open() as mine:
            while not stop.is_set():
                for owner, text in sealed.items():
                    assert mine.keys.unseal(owner, text) == f"secret of {owner}"
                new = uuid4()
                assert mine.keys.unseal(new, mine.keys.seal(new, "new")) == "new"
                rounds[number] += 1

    with ThreadPoolExecutor(4) as pool:
        users = [pool.submit(use, number) for number in range(4)]
        try:
            wait_until(lambda: all(rounds), what="everybody at work")
            fingerprints = {rotated(place) for _ in range(8)}
        finally:
            stop.set()
        for user in users:
            user.result(60)
    assert len(fingerprints) == 8


@on_postgres
def test_keys_come_and_go_while_the_master_key_of_a_database_changes(
    store: Store, place: Place
) -> None:
    sealed = {owner: store.keys.seal(owner, f"secret of {owner}") for owner in map(UUID, IDS)}
    gone = max(sealed)
    added: list[UUID] = []

    def come_and_go() -> None:
        with place.open() as other:
            # One before, one behind those that it is the turn of.
            for number in (0, 2**128 - 1):
                owner = UUID(int=number)
                sealed[owner] = other.keys.seal(owner, f"secret of {owner}")
                added.append(owner)
            other.keys.destroy(gone)

    def meanwhile(_done: int, _of: int) -> None:
        if not added:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(come_and_go).result(timeout=30)

    with place.open() as changing:
        done = rotate(changing.keys.store, changing.master_keys, meanwhile)

    assert len(added) == 2
    del sealed[gone]
    assert done.keys == len(all_keys(store))
    assert {name for name, _ in all_keys(store)} >= set(map(str, sealed))
    assert str(gone) not in dict(all_keys(store))
    new = read_key_file(store.folder.master_key)
    for name, wrapped in all_keys(store):
        assert len(sealing.unwrap_key(new, wrapped, name)) == 32
    with place.open() as fresh:
        for owner, text in sealed.items():
            assert fresh.keys.unseal(owner, text) == f"secret of {owner}"
            assert store.keys.unseal(owner, text) == f"secret of {owner}"


@on_postgres
def test_a_frozen_change_is_undone_and_blocks_no_other_process(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.postgres.keys.FROZEN_SECONDS", 1)
    owner = uuid4()
    sealed = store.keys.seal(owner, "secret")
    before = store.keys.store.master_fingerprint()

    def frozen() -> None:
        with place.open() as other, other.keys.store.rewrapping() as change:
            change.rewrap("another", lambda _, wrapped: wrapped[::-1])
            # These wait for it, and come in when the server has ended it.
            late = uuid4()
            assert store.keys.unseal(late, store.keys.seal(late, "late")) == "late"
            store.keys.destroy(late)

    with pytest.raises(DatabaseUnavailableError):
        frozen()

    assert store.keys.store.master_fingerprint() == before
    assert store.keys.unseal(owner, sealed) == "secret"


def test_two_changes_at_once_come_one_after_the_other(store: Store, place: Place) -> None:
    owner = uuid4()
    sealed = store.keys.seal(owner, "secret")
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: rotated(place), range(8)))) == 8

    assert store.keys.unseal(owner, sealed) == "secret"


def test_a_key_whose_file_another_change_took_is_written_once_more(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = uuid4()
    sealed = store.keys.seal(owner, "secret")
    settle = MasterKeys.settle

    def settle_for_another(self: MasterKeys, fingerprint: str | None) -> None:
        self.next_path.unlink(missing_ok=True)
        settle(self, fingerprint)

    monkeypatch.setattr(MasterKeys, "settle", settle_for_another)
    rotated(place)
    monkeypatch.undo()

    with place.open() as again:
        assert again.keys.unseal(owner, sealed) == "secret"


# A change of the master key in a process of its own, which is killed at a given point.
DYING = """
import os, signal, sys
from store.keys.rotation import rotate
from store.keys.master_keys import MasterKeys
from tests.places import place_of

point = sys.argv[3]


def die(where):
    if where == point:
        os.kill(os.getpid(), signal.SIGKILL)


class Dying(MasterKeys):
    settled = 0

    def prepare(self, key):
        die("before the new key is written")
        super().prepare(key)
        die("after the new key is written")

    def settle(self, fingerprint):
        self.settled += 1
        if self.settled > 1:
            die("after the commit")
        super().settle(fingerprint)
        if self.settled > 1:
            die("after the rename")


with place_of(*sys.argv[1:3]).open() as store:
    rotate(
        store.keys.store,
        Dying(store.folder.master_key),
        lambda done, of: die("when all keys are wrapped"),
    )
    die("at the end")
"""
POINTS = {
    "before the new key is written": False,
    "after the new key is written": False,
    "when all keys are wrapped": False,
    "after the commit": True,
    "after the rename": True,
    "at the end": True,
}


@pytest.mark.parametrize(("point", "changed"), POINTS.items())
def test_kill_9_at_any_point_leaves_a_store_that_opens(
    store: Store, place: Place, point: str, *, changed: bool
) -> None:
    owner = uuid4()
    sealed = store.keys.seal(owner, "secret")
    before = store.keys.store.master_fingerprint()

    died = subprocess.run(
        [sys.executable, "-c", DYING, *place.words, point],
        cwd=ROOT,
        check=False,
        timeout=60,
    )

    assert died.returncode == -9
    assert (store.keys.store.master_fingerprint() != before) == changed
    assert store.keys.unseal(owner, sealed) == "secret"
    opens(place, owner, sealed)
    finish_rotation(store.keys.store, store.master_keys)
    assert "master.key.next" not in names(store.folder.keys.parent)
    opens(place, owner, sealed)
    rotated(place)
    opens(place, owner, sealed)
    assert names(store.folder.keys.parent) - {"keys.db"} == {"master.key"}


def opens(place: Place, owner: object, sealed: str) -> None:
    with place.open() as fresh:
        assert fresh.keys.unseal(owner, sealed) == "secret"  # type: ignore[arg-type] # a UUID


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    write_key_file(tmp_path / "key", KEY)

    with pytest.raises(StoreError, match="cannot write"):
        write_key_file(tmp_path / "key", sealing.new_key())

    assert read_key_file(tmp_path / "key") == KEY
    with pytest.raises(StoreError, match="there is no file"):
        read_key_file(tmp_path / "none")


@pytest.mark.parametrize("content", [b"short", b"\xff\xfe\x00"])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(MasterKeyError) as refusal:
        read_key_file(tmp_path / "key")

    assert str(tmp_path / "key") in str(refusal.value)
    assert "short" not in str(refusal.value)


def with_secrets(store: Store, owners: Owners, number: int) -> list[object]:
    config = {"auth": {"user": "u", "pass": "secret"}}
    return [
        store.monitoring.create_monitor(owners.create(config=config), TESTER).id
        for _ in range(number)
    ]


def kept(store: Store, ids: Sequence[object]) -> list[bool]:
    return [store.keys.store.get(str(each)) is not None for each in ids]


def test_keys_of_deleted_monitors_that_a_killed_process_left_are_destroyed(
    store: Store, owners: Owners
) -> None:
    ids = with_secrets(store, owners, 3)
    wrapped = store.keys.store.get(str(ids[1]))
    assert wrapped is not None
    store.monitoring.delete_monitor(ids[1], TESTER)  # type: ignore[arg-type] # a UUID
    assert destroy_left_over(store.monitoring, store.keys) == 0
    store.keys.store.add(str(ids[1]), wrapped)
    being_created = uuid4()
    store.keys.seal(being_created, "its event is not in the log yet")
    assert kept(store, [*ids, being_created, DIGEST_KEY]) == [True] * 5

    assert destroy_left_over(store.monitoring, store.keys) == 1

    assert kept(store, [*ids, being_created, DIGEST_KEY]) == [True, False, True, True, True]
    assert destroy_left_over(store.monitoring, store.keys) == 0


def test_the_history_of_a_deleted_monitor_stays_readable_but_for_its_secret(
    store: Store, owners: Owners
) -> None:
    (monitor_id,) = with_secrets(store, owners, 1)
    store.monitoring.delete_monitor(monitor_id, TESTER)  # type: ignore[arg-type] # a UUID

    created, deleted = store.monitoring.events.get(monitor_id)  # type: ignore[arg-type] # a UUID

    assert (created.name, created.config["auth"]["user"]) == ("Outbound SMTP", "u")  # type: ignore[attr-defined] # MonitorCreated
    assert type(deleted).TOPIC == "MonitorDeleted"  # type: ignore[attr-defined] # ours
    with pytest.raises(SecretUnreadableError, match="was destroyed"):
        store.monitoring.unsealed(monitor_id, "smtp", created.config)  # type: ignore[arg-type,attr-defined] # as above
