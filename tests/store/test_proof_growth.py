"""The tree grows from the log: the same in steps of any size, also after a kill between them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.event_mapper import Row
from store.proof import merkle
from store.proof import tiles as growth
from store.proof.leaf import EventRows, leaf_bytes
from store.proof.merkle import ProofError, leaf_hash
from store.proof.tiles import LeafTile, PositionRun, TiledSubtrees, append, grow_once
from store.proof.verification import LogVerification
from store.proving import log_proof, verify
from store.sqlite.tiles import SqliteTiles
from store.store import open_store
from store.transfer.backup import make_backup, restore_backup
from tests.domain.given import TESTER, make_owners
from tests.intruder import intruder_of
from tests.places import on_sqlite
from tests.store.proof_store import TamperedLog, naive_path, naive_proof, naive_root, netstring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.store import Store
    from tests.places import Place


@pytest.fixture
def log(store: Store) -> TamperedLog:
    """The checks log of an empty store."""
    return TamperedLog(store)


class ListedRows(EventRows):
    """Rows at given positions, in memory."""

    def __init__(self, positions: Sequence[int]) -> None:
        self.rows = [Row(each, b"a" * 32, b"1", b"T", b"%d" % each) for each in positions]

    def after(self, position: int, limit: int, *, through: int | None = None) -> Sequence[Row]:
        """Return rows after a position."""
        last = through or 1 << 63
        return [row for row in self.rows if position < row.position <= last][:limit]

    def last_given(self) -> int:
        """Return the position of the last row."""
        return self.rows[-1].position


def test_the_leaf_is_what_the_documents_say(store: Store) -> None:
    make_owners(store)
    stored = intruder_of(store).rows("monitoring")

    rows = store.engine.rows("monitoring").after(0, 100)

    assert len(rows) == 4
    assert [leaf_bytes(row) for row in rows] == [b"".join(map(netstring, row)) for row in stored]
    assert leaf_bytes(Row(7, b"ab", b"1", b"T", b"{}")) == b"1:7,2:ab,1:1,1:T,2:{},"


@given(st.lists(st.tuples(*[st.binary(max_size=4)] * 4), min_size=2, max_size=2, unique=True))
def test_no_two_events_have_the_same_leaf(columns: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
    one, two = (leaf_bytes(Row(1, *each)) for each in columns)

    assert one != two


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_the_tree_has_the_root_of_the_rfc(log: TamperedLog, count: int) -> None:
    log.fill(count)

    grown = log.proof.grow()

    with log.proof.tiles.reading() as reader:
        subtrees = TiledSubtrees(reader, log.proof.rows)
        assert merkle.root(subtrees, count) == naive_root(log.leaves())
    assert grown == count == log.proof.size()


def test_every_earlier_root_and_every_proof_comes_out_of_the_tiles(log: TamperedLog) -> None:
    log.fill(600)
    log.proof.grow()
    leaves = log.leaves()

    with log.proof.tiles.reading() as reader:
        subtrees = TiledSubtrees(reader, log.proof.rows)
        for size in (1, 2, 3, 255, 256, 257, 511, 512, 513, 600):
            assert merkle.root(subtrees, size) == naive_root(leaves[:size])
            for index in (0, size // 2, size - 1):
                path = merkle.inclusion_path(subtrees, index, size)
                assert path == naive_path(index, leaves[:size])
            assert merkle.consistency_path(subtrees, size, 600) == naive_proof(size, leaves)


@settings(max_examples=25, deadline=None)
@given(
    gaps=st.lists(st.sampled_from([1, 1, 1, 1, 2, 50]), min_size=1, max_size=900),
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=9),
)
def test_any_gaps_and_any_steps_give_the_same_tree(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[int], cuts: list[int]
) -> None:
    positions = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    rows = ListedRows(positions)
    tiles = SqliteTiles(tmp_path_factory.mktemp("tiles") / "tiles.db")
    start = 0
    while start < len(positions):
        for cut in cuts:
            with tiles.growing() as writer:
                append(writer, rows.rows[start : start + cut])
            start += cut

    with tiles.reading() as reader:
        root = merkle.root(TiledSubtrees(reader, rows), len(positions))
        for index in {0, len(positions) // 2, len(positions) - 1}:
            tile = reader.leaf_tile_at(positions[index])
            assert tile is not None
            offset = tile.offset_of(positions[index])
            assert offset is not None
            assert tile.number * 256 + offset == index
            assert tile.offset_of(positions[-1] + 1) is None
    assert root == naive_root([leaf_bytes(row) for row in rows.rows])


def test_growing_goes_on_after_a_restart_and_in_batches(
    log: TamperedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "BATCH", 300)
    log.fill(1000)
    told: list[tuple[int, int]] = []

    assert grow_once(log.proof.rows, log.proof.tiles) == 300
    assert log.proof.grow(lambda *step: told.append(step)) == 700

    assert told == [(600, 1000), (900, 1000), (1000, 1000)]
    assert log.proof.grow() == 0
    head = log.proof.sign()
    assert head is not None
    assert head.root == naive_root(log.leaves())


KILLED = """
import os, signal, sys
from store.proof import tiles as growth
from store.proving import log_proof
from tests.places import place_of

growth.BATCH, killed_in = 100, int(sys.argv[3])
push, calls = growth._push, []
def killing_push(*arguments):
    calls.append(arguments)
    if len(calls) == killed_in:
        os.kill(os.getpid(), signal.SIGKILL)
    push(*arguments)
growth._push = killing_push
def kill_after(position, total):
    if killed_in == 0 and position == 300:
        os.kill(os.getpid(), signal.SIGKILL)
with place_of(*sys.argv[1:3]).open() as store:
    log_proof(store, "checks").grow(kill_after)
"""


@pytest.mark.parametrize(("killed_in", "left"), [(0, 300), (1, 200), (2, 500)])
def test_a_kill_between_batches_or_within_one_loses_nothing(
    log: TamperedLog, place: Place, killed_in: int, left: int
) -> None:
    log.fill(700)

    done = subprocess.run(
        [sys.executable, "-c", KILLED, *place.words, str(killed_in)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert log.proof.size() == left
    log.proof.grow()
    head = log.proof.sign()
    assert head is not None
    assert head.root == naive_root(log.leaves())


def test_two_growers_do_not_take_an_event_twice(log: TamperedLog) -> None:
    log.fill(10)
    one, two = log.proof, log.proof

    assert one.grow() == 10
    assert two.grow() == 0
    assert two.size() == 10


def test_growing_stops_when_it_is_asked_to(log: TamperedLog) -> None:
    log.fill(10)

    assert log.proof.grow(stopping=lambda: True) == 0


def test_positions_that_were_never_used_are_no_event(log: TamperedLog) -> None:
    log.fill(5)
    log.skip_to(90)
    log.fill(5)
    log.proof.grow()

    assert log.proof.position() == 95
    assert log.found() == []
    with pytest.raises(ProofError, match="no event at position 50"):
        log.proof.inclusion(50)


def test_archived_events_are_judged_by_the_hash_of_their_tile(log: TamperedLog) -> None:
    log.fill(800)
    log.proof.grow()
    log.proof.sign()
    proof = log.proof.inclusion(100)

    assert log.proof.tiles.forget_leaves(600) == 2
    assert log.proof.tiles.forget_leaves(600) == 0

    # The events are there still, in the log or in an archive: everything is as before.
    assert log.proof.inclusion(100) == proof
    assert log.found() == []
    # They are gone, and no segment is recorded that has them.
    log.sql("DELETE FROM {events} WHERE {position} <= 512")
    assert log.found() == [("removed", 1, 256), ("removed", 257, 512)]
    # They were archived.
    report = log.verify(elsewhere=[range(513)])
    assert (report.ok, report.archived, report.events, report.heads) == (True, 512, 800, 1)
    with pytest.raises(ProofError, match="archived, and the archive is not here"):
        log.proof.inclusion(100)
    assert log.proof.inclusion(600).head == proof.head


def test_an_altered_event_is_found_when_its_hash_was_forgotten(log: TamperedLog) -> None:
    log.fill(300)
    log.proof.grow()
    log.proof.tiles.forget_leaves(256)
    log.sql("UPDATE {events} SET state = ? WHERE {position} = 9", b"\0")

    assert log.found() == [("altered", 1, 256)]


def test_events_archived_out_of_a_tile_that_is_still_whole_are_counted(log: TamperedLog) -> None:
    log.fill(300)
    log.proof.grow()
    log.sql("DELETE FROM {events} WHERE {position} <= 40")

    report = log.verify(elsewhere=[range(41)])

    assert (report.ok, report.archived) == (True, 40)
    assert log.found(elsewhere=[range(40)]) == [("removed", 40, 40)]


def test_heads_within_archived_tiles_are_passed_over_and_those_at_their_end_are_not(
    store: Store,
) -> None:
    log = TamperedLog(store)
    for count in (100, 156, 44):
        log.fill(count)
        log.proof.grow()
        log.proof.sign()
    log.proof.tiles.forget_leaves(256)
    log.sql("DELETE FROM {events} WHERE {position} <= 256")

    report = log.verify(elsewhere=[range(257)])

    assert (report.ok, report.heads, report.archived) == (True, 2, 256)
    log.tree_sql("UPDATE {node_tiles} SET hashes = ?", bytes(32))
    assert log.found(elsewhere=[range(257)]) == [("altered", 1, 256)]


def test_a_tree_of_three_levels_has_the_root_of_the_rfc(store: Store) -> None:
    rows = ListedRows(range(1, 65_536 + 300))
    tiles = store.engine.tiles("checks")

    while grow_once(rows, tiles):
        pass

    leaves = [leaf_bytes(row) for row in rows.rows]
    with tiles.reading() as reader:
        subtrees = TiledSubtrees(reader, rows)
        assert len(reader.node_tile(2, 0)) == 32
        for size in (65_535, 65_536, 65_537, len(leaves)):
            assert merkle.root(subtrees, size) == naive_root(leaves[:size])
        report = LogVerification("checks", rows, reader, []).run()
    assert report.ok
    assert report.root_hash == naive_root(leaves).hex()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("DELETE FROM {leaf_tiles} WHERE number = 0", "does not hold leaf 0"),
        ("UPDATE {node_tiles} SET hashes = ''", "does not hold node"),
    ],
)
def test_a_tree_with_holes_proves_nothing(log: TamperedLog, damage: str, says: str) -> None:
    log.fill(600)
    log.proof.grow()
    log.tree_sql(damage)

    with pytest.raises(ProofError, match=says):
        log.proof.consistency(1, 600)


@on_sqlite
def test_a_backup_takes_the_hashes_of_archived_events_along(
    log: TamperedLog, tmp_path: Path
) -> None:
    log.fill(300)
    log.proof.grow()
    log.proof.sign()
    log.proof.tiles.forget_leaves(256)
    log.sql("DELETE FROM {events} WHERE {position} <= 256")

    make_backup(log.store, tmp_path / "backup", with_master_key=True)
    restore_backup(tmp_path / "backup", tmp_path / "again", None)

    with open_store(tmp_path / "again") as store:
        report = verify(log_proof(store, "checks"), elsewhere=[range(257)])
    assert (report.ok, report.events, report.archived, report.heads) == (True, 300, 256, 1)


def test_nothing_is_forgotten_of_a_tile_that_still_grows(log: TamperedLog) -> None:
    assert log.proof.tiles.forget_leaves(100) == 0
    log.fill(100)
    log.proof.grow()

    assert log.proof.tiles.forget_leaves(100) == 0


@pytest.mark.parametrize("runs", ["", "x", "5", "1+0", "1+10 5+246", "1+257", "7+1"])
def test_a_damaged_tile_is_reported(log: TamperedLog, runs: str) -> None:
    log.fill(256)
    log.proof.grow()
    log.tree_sql("UPDATE {leaf_tiles} SET runs = ?", runs)

    with pytest.raises(ProofError, match="damaged at leaf 0"):
        log.proof.size()


def test_a_leaf_tile_knows_its_positions() -> None:
    tile = LeafTile(0, (PositionRun(3, 2), PositionRun(9, 1)), b"")

    assert tile.positions() == [3, 4, 9]
    assert [tile.offset_of(each) for each in (2, 3, 4, 5, 9, 10)] == [None, 0, 1, None, 2, None]
    assert (tile.first_position, tile.last_position, tile.count) == (3, 9, 3)


def test_the_log_of_real_commands_is_proven_too(store: Store) -> None:
    owners = make_owners(store)
    store.monitoring.create_monitor(owners.create(), TESTER)
    proof = log_proof(store, "monitoring")
    proof.grow()
    proof.sign()

    report = verify(proof)

    assert report.ok
    assert report.heads == 1
    assert leaf_hash(leaf_bytes(proof.rows.after(2, 1)[0])) == proof.inclusion(3).leaf_hash
