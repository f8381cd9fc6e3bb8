"""Segments: every byte comes back, they are small, and damage is always detected."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import ArchiveError
from domain.event_mapper import Row
from store.archive.segment import Segment, contents_of, encode
from store.store import create_store
from tests.domain.realistic import Fleet, record

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


MOST_BYTES = 60

texts = st.text(max_size=12).map(str.encode) | st.binary(max_size=40)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
hostile_states = st.sampled_from(
    [
        b"",
        b"{}",
        b"[1,2.50,0.1,-0,1e5]",
        b'{"a":"%s %% %(x)s {0}"}',
        b'{"a":"2026-01-01T12:00:00.000Z","b":"2026-02-30T12:00:00.000Z"}',
        b'{"a":"2026-01-01T12:00:60.000Z","total":12.345}',
        b'{"a,b":"c","d\\"":"e\\\\","f":[":","\\""]}',
        b'{"total":0.001,"dns":00.1,"connect":1.0,"quit":123456789012.5}',
        b'{"timestamp":"2026-01-01T12:00:00.000001+00:00","x":"\x00"}',
        b"\x00\x01%s\xff\n\r",
        b'"unfinished',
    ]
)


@cache
def realistic_rows(tmp: Path, count: int) -> tuple[Row, ...]:
    with create_store(tmp / "data") as store:
        record(store, Fleet(1000).checks(count))
        return tuple(store.rows("checks").after(0, count))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Row, ...]:
    """As many checks of 1,000 monitors as an hour brings."""
    return realistic_rows(tmp_path_factory.mktemp("realistic"), 12_000)


def numbered(states: Sequence[bytes], streams: int = 2) -> list[Row]:
    return [
        Row(3 * number + 1, b"%032x" % (number % streams), b"%d" % (number // streams + 1), b"T", s)
        for number, s in enumerate(states)
    ]


def all_rows(segment: Segment) -> list[Row]:
    return segment.after(0, 1 << 20)


@pytest.mark.thorough
def test_an_archived_check_takes_at_most_sixty_bytes_and_comes_back_as_it_was(
    rows: tuple[Row, ...],
) -> None:
    data = encode("checks", rows)

    assert len(data) / len(rows) < MOST_BYTES
    assert all_rows(Segment(data, "checks")) == list(rows)


def test_a_segment_is_read_from_any_position_in_pages(rows: tuple[Row, ...]) -> None:
    some = rows[1000:3000]
    segment = Segment(encode("checks", some), "checks")

    assert segment.contents == contents_of(some)
    assert segment.after(0, 10) == list(some[:10])
    assert segment.after(some[1499].position, 700) == list(some[1500:])
    assert segment.after(some[-1].position, 700) == []


def test_the_checks_of_one_stream_are_found_newest_first(rows: tuple[Row, ...]) -> None:
    segment = Segment(encode("checks", rows), "checks")
    stream = rows[7].originator_id
    own = [row for row in rows if row.originator_id == stream]

    assert len(own) == 12
    assert segment.of_stream(stream, 1 << 40, 100) == own[::-1]
    assert segment.of_stream(stream, own[5].position, 2) == [own[4], own[3]]
    assert segment.of_stream(UUID(int=1).hex.encode(), 1 << 40, 100) == []


@pytest.mark.parametrize("count", [1, 2, 40])
def test_few_events_of_few_streams_are_found_too(rows: tuple[Row, ...], count: int) -> None:
    some = rows[:count]
    segment = Segment(encode("checks", some), "checks")

    assert all_rows(segment) == list(some)
    for row in some:
        assert segment.of_stream(row.originator_id, 1 << 40, 5) == [row]


@given(st.lists(hostile_states | texts | json_like.map(str).map(str.encode), min_size=1))
@settings(max_examples=200, deadline=None)
def test_any_state_comes_back_byte_by_byte(states: list[bytes]) -> None:
    found = numbered(states)

    assert all_rows(Segment(encode("checks", found), "checks")) == found


@given(st.lists(st.tuples(texts, texts, texts, texts), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_any_columns_come_back_byte_by_byte(
    columns: list[tuple[bytes, bytes, bytes, bytes]],
) -> None:
    found = [Row(number, *each) for number, each in enumerate(columns, start=1)]

    assert all_rows(Segment(encode("checks", found), "checks")) == found


def test_a_segment_that_is_changed_or_cut_anywhere_is_refused(rows: tuple[Row, ...]) -> None:
    data = encode("checks", rows[:50])

    for length in range(0, len(data), 7):
        with pytest.raises(ArchiveError):
            Segment(data[:length], "checks")
        changed = data[:length] + bytes([data[length] ^ 1]) + data[length + 1 :]
        with pytest.raises(ArchiveError):
            Segment(changed, "checks")


def test_a_segment_of_a_newer_version_or_of_another_log_says_so(rows: tuple[Row, ...]) -> None:
    data = encode("checks", rows[:5])

    with pytest.raises(ArchiveError, match="version 2, this Postwatch reads up to version 1"):
        Segment(data.replace(b"segment 1\n", b"segment 2\n"), "checks")
    with pytest.raises(ArchiveError, match="of the log checks, not incidents"):
        Segment(data, "incidents")


def test_a_segment_of_this_version_stays_readable() -> None:
    """A file that was written once: a change of the format needs a new version."""
    rows = [
        Row(7, b"0" * 32, b"1", b"CheckPerformed", b'{"total":1.5,"a":"x","dns":1.25}'),
        Row(9, b"1" * 32, b"1", b"CheckPerformed", b'{"total":2.5,"a":"x","dns":2.0}'),
    ]

    segment = Segment(bytes.fromhex(FROZEN), "checks")

    assert all_rows(segment) == rows
    segment.check()


FROZEN = (
    "706f73747761746368207365676d656e7420310af70000000000000078da7d90c17284200c86df25670e8032"
    "82afb2f510215aa60a8eb03bd3eef8eec53d74f5606fc93f5ffe24ff13a638420bf693ec570206835f5386b6"
    "6130e15e1806f4a09013b49281f323ed2a0cd299c62ad350cf35d7e4b4e4d873341c6b251087be529a0f0645"
    "639dae4c533ba5d12a61f8500f5c954d364ef73914dfdb1302ce545c3f20e59570deef88eb5c9419c377e992"
    "ffa19d9455b7b103fea035f918de7c0c74c08539e3392ede5ec1953cc32963a64b581f61bcc2a4386239669c"
    "dea823ebe797f077afec4aee94f6fa06ae84c34477747849ffccabf30b4b4c3e9ff2f121d348eb71a62a3b53"
    "a6a53462ebb65fd518a43378da63626060e000620506083020000c090000946f0c4b78da63646060e0006246"
    "060830040000c4003c78da63646060e000623e060870ce484dce0e482d4acb2fca4d4d01002a3f059a78da63"
    "646060e00062490608a8562ac92f49cc51b262d0514a04932979c540ba1600608706b778da63646060e00062"
    "66060850aa500200023700c978dafbc50005bf000ac801f578da7bc4c20001ef1898000d9c01d778da636280"
    "0056060000280008ad926549930812f2e71bfe50a82d775fd229f2e3e45df738bdc0a4a033dd024a"
)
