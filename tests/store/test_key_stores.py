"""Stores of wrapped keys on every engine: two writers, and a change of the master key."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from store.keys.key_ring import WrappedKey

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.keys.key_ring import KeyStore
    from tests.places import Place


@pytest.fixture
def keys(place: Place) -> Iterator[KeyStore]:
    """A place for keys under the master key `one`."""
    with place.engine() as engine:
        made = engine.keys(create=True)
        assert made.master_fingerprint() is None
        made.set_master_fingerprint("one")
        yield made


def test_a_key_is_kept_until_it_is_destroyed(keys: KeyStore) -> None:
    key = WrappedKey(b"\0wrapped\xff", "one")
    assert (keys.get("owner"), keys.owners()) == (None, [])

    assert keys.add("owner", key) == key
    assert keys.add("Another", WrappedKey(b"", "one")) is not None
    assert (keys.get("owner"), sorted(keys.owners())) == (key, ["Another", "owner"])
    with keys.table() as table:
        assert table.all() == [("Another", b""), ("owner", b"\0wrapped\xff")]

    keys.destroy("owner")
    keys.destroy("nobody")
    assert (keys.get("owner"), keys.owners()) == (None, ["Another"])


def test_the_first_key_of_an_owner_stays(keys: KeyStore) -> None:
    first = keys.add("owner", WrappedKey(b"first", "one"))

    assert keys.add("owner", WrappedKey(b"second", "one")) == first


def test_a_key_under_another_master_key_is_not_kept(keys: KeyStore) -> None:
    assert keys.add("owner", WrappedKey(b"wrapped", "two")) is None

    assert keys.owners() == []


def test_the_first_master_key_wins(keys: KeyStore) -> None:
    keys.set_master_fingerprint("two")

    assert keys.master_fingerprint() == "one"


def test_of_many_who_add_a_key_at_once_all_get_the_same_one(keys: KeyStore, place: Place) -> None:
    barrier = threading.Barrier(4)

    def add(number: int) -> WrappedKey | None:
        with place.engine() as engine:
            mine = engine.keys(create=False)
            barrier.wait(20)
            return mine.add("owner", WrappedKey(b"%d" % number, "one"))

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(add, range(4)))

    assert found == {keys.get("owner")}


def test_all_keys_are_replaced_or_none(keys: KeyStore) -> None:
    keys.add("a", WrappedKey(b"old", "one"))

    def fail_at_the_end() -> None:
        with keys.table() as table:
            table.replace("two", [("a", b"new"), ("b", b"new")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_at_the_end()
    assert (keys.master_fingerprint(), keys.get("a")) == ("one", WrappedKey(b"old", "one"))

    with keys.table() as table:
        table.replace("two", [("a", b"new"), ("b", b"new")])
        assert table.master_fingerprint() == "two"

    assert (keys.get("a"), keys.get("b")) == (WrappedKey(b"new", "two"),) * 2


@pytest.mark.parametrize("changes", [True, False])
def test_a_key_that_comes_while_the_master_key_changes_is_wrapped_by_the_one_that_holds(
    keys: KeyStore, place: Place, *, changes: bool
) -> None:
    keys.add("old", WrappedKey(b"old", "one"))
    key = WrappedKey(b"came meanwhile", "one")

    def add() -> WrappedKey | None:
        with place.engine() as engine:
            return engine.keys(create=False).add("new", key)

    with ThreadPoolExecutor(1) as pool:
        with keys.table() as table:
            adding = pool.submit(add)
            # It waits, or has not begun yet: in any case it is not in before this ends.
            with pytest.raises(TimeoutError):
                adding.result(timeout=0.3)
            if changes:
                table.replace("two", [("old", b"wrapped anew")])
        kept = adding.result(timeout=20)

    assert kept == (None if changes else key)
    assert keys.get("new") == kept
    assert keys.get("old") == (WrappedKey(b"wrapped anew", "two") if changes else keys.get("old"))


def test_readers_see_the_keys_as_they_were_while_the_master_key_changes(keys: KeyStore) -> None:
    old = keys.add("owner", WrappedKey(b"old", "one"))
    with keys.table() as table:
        table.replace("two", [("owner", b"new")])

        assert keys.get("owner") == old
        assert keys.master_fingerprint() == "one"

    assert keys.get("owner") == WrappedKey(b"new", "two")
