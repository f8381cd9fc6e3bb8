"""Signed heads and their stores: a file, also after a power cut, or a table."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from domain.errors import NotFoundError
from store.files.head_file import HeadFile
from store.proof.merkle import ProofError
from store.proof.tree_heads import SigningKey, VerifyingKey, parse_head
from store.proving import log_proof
from tests.domain.given import NOON
from tests.intruder import intruder_of
from tests.places import on_sqlite
from tests.store.proof_store import TamperedLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store.proof.tree_heads import HeadStore, TreeHead
    from store.store import Store
    from tests.places import Place


KEY = SigningKey(b"k" * 32)


def head(size: int) -> TreeHead:
    return KEY.sign("checks", size, size + 5, "2026-01-01T12:00:00.000Z", bytes([size % 256]) * 32)


@pytest.fixture
def heads(place: Place) -> Iterator[HeadStore]:
    """Where no head is yet."""
    with place.engine() as engine:
        yield engine.heads("checks")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where no file of heads is yet."""
    return tmp_path / "proof" / "checks.heads"


def test_heads_come_back_newest_first(heads: HeadStore) -> None:
    assert heads.newest(1) == []
    assert list(heads.lines()) == []

    for size in range(1, 50):
        assert heads.append(head(size))

    assert heads.newest(3) == [head(49), head(48), head(47)]
    assert heads.newest(100) == [head(size) for size in range(49, 0, -1)]
    assert [(number, parse_head(line)) for number, line in heads.lines()][11] == (12, head(12))


def test_all_heads_are_read_a_few_at_a_time(
    heads: HeadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.postgres.tiles.PAGE", 2)
    for size in range(1, 6):
        heads.append(head(size))

    lines = heads.lines()
    found = [next(lines)]
    # One that comes meanwhile is among them: not all were fetched before.
    heads.append(head(6))
    found += lines

    assert [number for number, _ in found] == [1, 2, 3, 4, 5, 6]
    assert [parse_head(line).size for _, line in found] == [1, 2, 3, 4, 5, 6]


def test_the_file_of_the_heads_is_its_owners_only(path: Path) -> None:
    HeadFile(path).append(head(1))

    assert path.stat().st_mode & 0o777 == 0o600


def test_the_heads_of_two_logs_are_kept_apart(place: Place) -> None:
    with place.engine() as engine:
        checks, monitoring = engine.heads("checks"), engine.heads("monitoring")
        assert checks.append(head(9))
        assert monitoring.append(head(3))

        assert (checks.newest(9), monitoring.newest(9)) == ([head(9)], [head(3)])
        assert [number for number, _ in monitoring.lines()] == [1]
        assert "monitoring" in monitoring.place


def test_of_many_who_sign_at_once_each_head_is_kept_once_and_in_order(place: Place) -> None:
    def sign(size: int) -> bool:
        with place.engine() as engine:
            return engine.heads("checks").append(head(size))

    with place.engine() as engine, ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(sign, [5, 6, 5, 7, 6, 7, 8, 8]))
        sizes = [each.size for each in engine.heads("checks").newest(99)][::-1]

    assert sizes == sorted(set(sizes))
    assert (sizes[-1], len(sizes)) == (8, sum(kept))


def test_a_head_that_is_not_larger_is_not_kept(heads: HeadStore) -> None:
    assert heads.append(head(5))

    assert not heads.append(head(5))
    assert not heads.append(head(4))

    assert heads.newest(9) == [head(5)]


@pytest.mark.parametrize("cut", [1, 2, 100, 300])
def test_half_a_line_is_no_head_and_makes_way_for_the_next(path: Path, cut: int) -> None:
    heads = HeadFile(path)
    heads.append(head(1))
    heads.append(head(2))
    path.write_bytes(path.read_bytes()[:-cut])

    assert heads.newest(9) == [head(1)]
    assert [number for number, _ in heads.lines()] == [1]
    assert heads.append(head(3))
    assert heads.newest(9) == [head(3), head(1)]


def test_a_damaged_last_line_stops_the_signing_and_is_said(store: Store) -> None:
    heads, behind = store.engine.heads("checks"), intruder_of(store)
    heads.append(head(1))
    behind.put_heads("checks", [*behind.heads("checks"), b"nonsense\n"])

    with pytest.raises(ProofError, match="no signed tree head"):
        heads.append(head(2))


def test_a_head_reads_back_as_it_was_and_its_signature_holds(heads: HeadStore) -> None:
    heads.append(head(7))

    [(_, line)] = heads.lines()

    assert parse_head(line) == head(7)
    assert KEY.public.signed(parse_head(line))
    assert not SigningKey(b"x" * 32).public.signed(parse_head(line))


def test_the_secret_half_of_the_key_is_not_shown() -> None:
    assert repr(KEY) == f"SigningKey({KEY.public.key_id})"
    assert VerifyingKey.from_hex(KEY.public.raw.hex()).key_id == KEY.public.key_id


@pytest.mark.parametrize("text", ["", "ab", "zz" * 32, "ab" * 33])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(ProofError, match="64 hexadecimal digits"):
        VerifyingKey.from_hex(text)


def test_the_signing_key_is_wrapped_and_the_same_after_a_restart(
    store: Store, place: Place
) -> None:
    seed = store.keys.signing_seed()

    with place.open() as again:
        assert again.keys.signing_seed() == seed
    with store.keys.store.table() as table:
        assert not any(seed in wrapped for _, wrapped in table.all())


@on_sqlite
def test_the_signing_key_is_not_in_the_file_of_the_keys(store: Store) -> None:
    seed = store.keys.signing_seed()

    assert seed not in store.folder.keys.read_bytes()


def test_a_head_is_signed_when_something_is_new(store: Store) -> None:
    log = TamperedLog(store)
    proof = log_proof(store, "checks", clock=lambda: NOON + timedelta(milliseconds=5))
    assert proof.sign() is None
    log.fill(3)
    assert proof.sign() is None, "nothing was grown"
    proof.grow()

    signed = proof.sign()

    assert signed is not None
    assert signed == proof.newest_head()
    assert (signed.size, signed.position, signed.time) == (3, 3, "2026-01-01T12:00:00.005Z")
    assert proof.public_key().signed(signed)
    assert proof.sign() is None


def test_what_no_head_covers_is_not_proven_yet(store: Store) -> None:
    log = TamperedLog(store)
    log.fill(3)
    log.proof.grow()
    with pytest.raises(ProofError, match="no signed head covers position 2"):
        log.proof.inclusion(2)
    log.proof.sign()
    log.fill(1)
    log.proof.grow()

    assert log.proof.inclusion(3).as_json()["leafIndex"] == 2
    with pytest.raises(ProofError, match="no signed head covers position 4"):
        log.proof.inclusion(4)


def test_there_are_two_logs(store: Store) -> None:
    with pytest.raises(NotFoundError, match="there is no log nonsense; there are monitoring"):
        log_proof(store, "nonsense")


def test_a_line_that_found_no_room_is_no_head(path: Path) -> None:
    heads = HeadFile(path)
    heads.append(head(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, hard))
    try:
        with pytest.raises(OSError, match="No space left"):
            heads.append(head(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert heads.newest(9) == [head(1)]

    assert heads.append(head(3))

    assert heads.newest(9) == [head(3), head(1)]
