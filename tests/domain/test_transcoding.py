"""Event state survives as it is, whatever its keys look like."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.event_mapper import OrjsonTranscoder

HOSTILE = ["_type_", "_data_", "__class__", "timestamp", "originator_id", "", "\x00", "TOPIC"]
keys = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"])))
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"])),
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(keys, inner)),
    max_leaves=10,
)
moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(fold=0))
transcoder = OrjsonTranscoder()


@given(state=st.dictionaries(keys, values), timestamp=moments)
@settings(max_examples=60, deadline=None)
def test_any_state_comes_back_as_it_was(state: dict[str, object], timestamp: datetime) -> None:
    whole = {**state, "timestamp": timestamp}

    back = transcoder.decode(transcoder.encode(whole))

    assert back == whole
    assert repr(back) == repr(whole), "a value changed its type, or keys their order"


@pytest.mark.parametrize("value", [UUID(int=7), datetime(2026, 1, 1, tzinfo=UTC)])
def test_a_nested_value_is_never_anything_but_json(value: object) -> None:
    timestamp = datetime(2026, 1, 1, tzinfo=UTC)

    back = transcoder.decode(transcoder.encode({"timestamp": timestamp, "x": {"y": value}}))

    assert type(back["x"]["y"]) is str


@pytest.mark.parametrize("value", [Decimal(1), b"bytes", {1, 2}, object(), "\ud800", 2**64])
def test_a_value_that_is_no_json_is_refused_when_it_is_written(value: object) -> None:
    with pytest.raises(TypeError):
        transcoder.encode({"timestamp": datetime(2026, 1, 1, tzinfo=UTC), "x": value})
