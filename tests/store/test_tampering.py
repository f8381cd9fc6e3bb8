"""Changes of a log outside Postwatch: what a verification finds, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from store.keys.sealing import new_key
from store.proof import verification
from store.proof.tree_heads import SigningKey, parse_head
from store.proof.verification import LISTED
from store.proving import log_proof
from store.store import create_store
from tests.places import on_sqlite
from tests.store.proof_store import TamperedLog

if TYPE_CHECKING:
    from pathlib import Path

    from store.store import Store


STREAM = UUID(int=99).hex
ZERO = b"\0"
SLIP_IN = (
    "INSERT INTO {events} ({position}, originator_id, originator_version, topic, state)"
    " VALUES (?, ?, ?, ?, ?)"
)


@pytest.fixture
def log(store: Store) -> TamperedLog:
    """A log of 600 events with a signed head at 300 and one at 600."""
    log = TamperedLog(store)
    for _ in range(2):
        log.fill(300)
        log.proof.grow()
        assert log.proof.sign()
    return log


def test_an_unchanged_log_is_verified(log: TamperedLog) -> None:
    report = log.verify()

    assert report.ok
    assert (report.events, report.position, report.heads) == (600, 600, 2)
    newest = log.proof.newest_head()
    assert newest is not None
    assert report.root_hash == newest.root.hex()


def test_events_behind_the_newest_head_are_compared_too(log: TamperedLog) -> None:
    log.fill(5)
    log.proof.grow()
    log.sql("UPDATE {events} SET topic = 'Other' WHERE {position} = 604")

    assert log.found() == [("altered", 604, 604)]


@pytest.mark.parametrize(
    ("change", "value", "found"),
    [
        ("UPDATE {events} SET state = ? WHERE {position} = 1", b"{}", (1, 1)),
        ("UPDATE {events} SET originator_id = ? WHERE {position} = 256", STREAM, (256, 256)),
        ("UPDATE {events} SET originator_version = ? WHERE {position} = 600", 77, (600, 600)),
        ("UPDATE {events} SET topic = ? WHERE {position} = 9", "CheckPerformed ", (9, 9)),
    ],
)
def test_a_changed_event_is_named_by_its_position(
    log: TamperedLog, change: str, value: object, found: tuple[int, int]
) -> None:
    log.sql(change, value)

    assert log.found() == [("altered", *found)]


@on_sqlite
def test_a_stream_that_is_no_id_is_an_altered_event(log: TamperedLog) -> None:
    log.sql("UPDATE {events} SET originator_id = originator_id || 'A' WHERE {position} = 256")

    assert log.found() == [("altered", 256, 256)]


@pytest.mark.parametrize(
    "found",
    [(257, 257), (1, 1), (250, 299), (591, 600), (1, 600)],
)
def test_a_missing_event_is_named_by_its_position(log: TamperedLog, found: tuple[int, int]) -> None:
    log.sql("DELETE FROM {events} WHERE {position} BETWEEN ? AND ?", *found)

    assert log.found() == [("removed", *found)]


def test_an_event_that_was_slipped_in_is_named(store: Store) -> None:
    log = TamperedLog(store)
    log.fill(5)
    log.skip_to(9)
    log.fill(300)
    log.proof.grow()
    for position, version in ((7, 1), (0, 2)):
        log.sql(SLIP_IN, position, STREAM, version, "T", ZERO)

    # Position 0 and below come before every position that was ever given.
    assert log.found() == [("inserted", 0, 0), ("inserted", 7, 7)]


def test_two_events_that_changed_places_are_named(log: TamperedLog) -> None:
    for statement in (
        "UPDATE {events} SET {position} = -1 WHERE {position} = 20",
        "UPDATE {events} SET {position} = 20 WHERE {position} = 520",
        "UPDATE {events} SET {position} = 520 WHERE {position} = -1",
    ):
        log.sql(statement)

    report = log.verify()

    assert [each.message for each in report.findings] == [
        "the event of position 520 was moved to position 20",
        "the event of position 20 was moved to position 520",
    ]
    assert {each.kind.value for each in report.findings} == {"moved"}


def test_an_event_that_was_given_another_position_is_named(log: TamperedLog) -> None:
    log.sql("DELETE FROM {events} WHERE {position} = 40")
    log.sql("UPDATE {events} SET {position} = 40 WHERE {position} = 41")

    report = log.verify()

    assert [each.message for each in report.findings] == [
        "the event of position 41 was moved to position 40"
    ]
    assert not report.ok


def test_a_log_whose_every_position_was_shifted_is_found(log: TamperedLog) -> None:
    log.sql("UPDATE {events} SET {position} = -{position}")
    log.sql("UPDATE {events} SET {position} = 1 - {position}")

    report = log.verify()

    assert not report.ok
    assert report.findings[0].position == 1


def test_a_cut_log_that_forgot_its_end_is_found(log: TamperedLog) -> None:
    log.sql("DELETE FROM {events} WHERE {position} > 400")
    log.skip_to(400)

    assert log.proof.is_ahead()
    assert log.found() == [("removed", 401, 600)]

    log.fill(50)  # It goes on with other events at the same positions.
    assert log.found() == [("altered", 401, 450), ("removed", 451, 600)]


def test_a_cut_log_and_a_tree_made_anew_contradict_the_signed_head(log: TamperedLog) -> None:
    log.sql("DELETE FROM {events} WHERE {position} > 400")
    log.lose_tree()

    assert log.found() == [("removed", 401, 600)]


def test_an_event_changed_with_the_tree_made_anew_contradicts_the_signed_heads(
    log: TamperedLog,
) -> None:
    log.sql("UPDATE {events} SET state = ? WHERE {position} = 450", b"{}")
    log.lose_tree()

    assert log.found() == [("altered", 301, 600)]

    log.sql("UPDATE {events} SET state = ? WHERE {position} = 3", b"{}")
    log.lose_tree()
    assert log.found() == [("altered", 1, 300)]


def test_heads_kept_elsewhere_tell_what_the_folder_no_longer_does(
    log: TamperedLog, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.heads"
    kept.write_bytes(b"".join(log.heads()))
    log.sql("UPDATE {events} SET state = ? WHERE {position} = 450", b"{}")
    log.lose_tree()
    log.put_heads([])
    log.proof.grow()
    log.proof.sign()

    assert log.found() == []
    assert log.found(published=[kept]) == [("altered", 301, 600)]


def test_a_changed_hash_is_not_taken_for_a_changed_event(log: TamperedLog) -> None:
    log.tree_sql(
        "UPDATE {leaf_tiles} SET hashes = ? || substr(hashes, 33) WHERE number = 1", bytes(32)
    )

    report = log.verify()

    assert [(each.kind.value, each.position) for each in report.findings] == [
        ("tree", 257),
        ("tree", 257),
    ]
    assert {"fits the signed heads" in each.message for each in report.findings} == {True, False}


@pytest.mark.parametrize(
    "change",
    [
        ("UPDATE {node_tiles} SET hashes = ?", bytes(64)),
        ("UPDATE {node_tiles} SET hashes = substr(hashes, 1, ?)", 32),
        ("UPDATE {node_tiles} SET hashes = ?", b""),
    ],
)
def test_a_changed_hash_of_a_whole_tile_is_found(
    log: TamperedLog, change: tuple[str, object]
) -> None:
    log.tree_sql(*change)

    assert {kind for kind, _, _ in log.found()} == {"tree"}


def test_stored_hashes_that_are_gone_are_found(log: TamperedLog) -> None:
    log.tree_sql("DELETE FROM {leaf_tiles} WHERE number = 1")

    report = log.verify()

    assert [each.message for each in report.findings] == [
        "the stored hashes from leaf 256 on are gone"
    ]


def test_a_tree_that_lost_its_end_grows_it_again(log: TamperedLog) -> None:
    log.tree_sql("DELETE FROM {leaf_tiles} WHERE number = 2")

    assert log.found() == []
    assert log.proof.size() == 600


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (b'"size":300', b'"size":299', "the signature does not fit"),
        (b'"position":300', b'"position":301', "the signature does not fit"),
        (b'"time":"2', b'"time":"1', "the signature does not fit"),
        (b'"rootHash":"', b'"rootHash":"0', "no signed tree head"),
        (b'"signature":"', b'"signature":"zz', "no signed tree head"),
        (b'"log":"checks"', b'"log":"monitoring"', "of the log monitoring"),
        (b'"size":300', b'"size":"300"', "no signed tree head"),
        (b"{", b"[", "no signed tree head"),
    ],
)
def test_a_changed_head_is_found_with_its_line(
    log: TamperedLog, before: bytes, after: bytes, says: str
) -> None:
    first, second = log.heads()
    log.put_heads([first.replace(before, after, 1), second])

    report = log.verify()

    assert [(each.kind.value, each.line) for each in report.findings] == [("head", 1)]
    assert says in report.findings[0].message
    assert report.heads == 1


def test_heads_in_another_order_are_found(log: TamperedLog) -> None:
    log.put_heads(log.heads()[::-1])

    report = log.verify()

    assert [each.line for each in report.findings] == [2]
    assert "fewer events (300) than the one before it (600)" in report.findings[0].message


def test_another_key_is_found(log: TamperedLog) -> None:
    report = log.verify(key=SigningKey(new_key()).public)

    assert [each.kind.value for each in report.findings] == ["head", "head"]
    assert "was signed by key" in report.findings[0].message


def test_a_head_signed_by_another_key_under_the_right_name_is_found(log: TamperedLog) -> None:
    head = log.proof.newest_head()
    assert head is not None
    forged = SigningKey(new_key()).sign("checks", 601, 601, head.time, head.root)
    line = log.heads()[-1]
    lie = line.replace(b'"size":600', b'"size":601').replace(
        head.signature.hex().encode(), forged.signature.hex().encode()
    )
    log.put_heads([*log.heads(), lie])

    assert parse_head(lie).key_id == head.key_id
    assert [each.line for each in log.verify().findings] == [3]


def test_a_head_of_another_store_is_found(log: TamperedLog, tmp_path: Path) -> None:
    with create_store(tmp_path / "other") as other:
        lie = TamperedLog(other)
        lie.fill(600)
        lie.proof.grow()
        lie.proof.sign()
        log.put_heads(lie.heads())

    assert [kind for kind, _, _ in log.found()] == ["head"]


def test_very_many_changes_are_counted_and_not_all_kept(
    log: TamperedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "KEPT", 250)
    log.sql("UPDATE {events} SET state = ? WHERE {position} % 2 = 1", ZERO)

    report = log.verify()

    assert report.found == 300
    assert len(report.findings) == LISTED


def test_the_audit_log_is_proven_by_a_tree_of_its_own(log: TamperedLog) -> None:
    monitoring = log_proof(log.store, "monitoring")

    assert monitoring.size() == 0
    assert monitoring.sign() is None
    assert monitoring.public_key().raw == log.proof.public_key().raw


def test_rows_appended_during_a_verification_are_ignored(log: TamperedLog) -> None:
    def more(_done: int, _total: int) -> None:
        log.fill(1)

    assert log.found(progress=more) == []
    assert log.events > 600


@pytest.fixture(params=[1, 64, 65, 600])
def damaged(log: TamperedLog, request: pytest.FixtureRequest) -> tuple[TamperedLog, int]:
    """A log of which the first so many events are altered."""
    log.sql("UPDATE {events} SET state = ? WHERE {position} <= ?", ZERO, request.param)
    return log, request.param


def test_neighbours_are_found_together(damaged: tuple[TamperedLog, int]) -> None:
    log, count = damaged

    report = log.verify()

    assert report.found == count
    assert [(each.position, each.through) for each in report.findings] == [(1, count)]
