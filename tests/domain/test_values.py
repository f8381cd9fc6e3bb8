"""Names, ports, statuses, numbers, contacts, countries: normal forms and refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import values
from domain.errors import InvalidValueError
from domain.values import COUNTRY_CODES, parse_country_codes

if TYPE_CHECKING:
    from collections.abc import Callable


PARSERS: dict[str, Callable[[object], object]] = {
    "name": values.parse_name,
    "port": values.parse_port,
    "status": values.parse_status,
    "interval": values.parse_check_interval,
    "timeout": values.parse_timeout_seconds,
    "email": values.parse_email,
    "phone": values.parse_phone_number,
    "countries": parse_country_codes,
}


@pytest.mark.parametrize(
    ("parser", "sent", "stored"),
    [
        ("name", " Mail ", "Mail"),
        ("name", "\n\tMail\n", "Mail"),
        ("name", "Ünï 🔑", "Ünï 🔑"),
        ("name", " " + "n" * 255 + " ", "n" * 255),
        ("port", None, None),
        ("port", 1, 1),
        ("port", 65535, 65535),
        ("status", "paused", "disabled"),
        ("status", "inactive", "disabled"),
        ("status", "maintenance", "maintenance"),
        ("interval", 0.1, 0.1),
        ("interval", 1440, 1440),
        ("interval", 7.0, 7),
        ("timeout", 1, 1),
        ("timeout", 60.0, 60),
        ("timeout", 1.5, 1.5),
        ("email", None, None),
        ("email", "a@b", "a@b"),
        ("phone", "+49 (0)170/12-34.5", "+49 (0)170/12-34.5"),
        ("phone", "110", "110"),
        ("countries", None, None),
        ("countries", [], None),
        ("countries", ["us", " de ", "US", "De"], ["US", "DE"]),
    ],
)
def test_a_value_has_one_normal_form(parser: str, sent: object, stored: object) -> None:
    found = PARSERS[parser](sent)

    assert (type(found), found) == (type(stored), stored)
    assert PARSERS[parser](found) == found


@pytest.mark.parametrize(
    ("parser", "sent", "code"),
    [
        ("name", None, "type"),
        ("name", "\t", "required"),
        ("name", "n" * 256, "too_long"),
        ("name", "a\x00b", "invalid"),
        ("name", "a\u2028b", "invalid"),
        ("name", "a\u200fb", "invalid"),
        ("port", 0, "range"),
        ("port", 65536, "range"),
        ("port", True, "type"),
        ("port", 25.0, "type"),
        ("port", "25", "type"),
        ("status", "ACTIVE", "invalid"),
        ("status", None, "invalid"),
        ("status", ["active"], "invalid"),
        ("interval", 0.0999, "range"),
        ("interval", 1440.0001, "range"),
        ("interval", None, "type"),
        ("interval", True, "type"),
        ("interval", "5", "type"),
        ("interval", -(2**63), "range"),
        ("interval", float("nan"), "range"),
        ("interval", float("inf"), "range"),
        ("timeout", 0.999, "range"),
        ("timeout", 61, "range"),
        ("email", "ops", "invalid"),
        ("email", "", "invalid"),
        ("email", "a@b@c", "invalid"),
        ("email", "a@b\n", "invalid"),
        ("email", "a" * 65 + "@example.com", "invalid"),
        ("email", "a@" + "b" * 254, "invalid"),
        ("email", 5, "type"),
        ("phone", "", "invalid"),
        ("phone", "12", "invalid"),
        ("phone", "0" * 33, "invalid"),
        ("phone", "call me", "invalid"),
        ("phone", "+49 170\n", "invalid"),
        ("phone", 110, "type"),
        ("countries", "DE", "type"),
        ("countries", ["DE", None], "type"),
        ("countries", {"DE": 1}, "type"),
        ("countries", ["DEU"], "invalid"),
        ("countries", ["UK"], "invalid"),
        ("countries", [""], "invalid"),
    ],
)
def test_a_wrong_value_is_refused_with_its_code(parser: str, sent: object, code: str) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        PARSERS[parser](sent)

    assert refusal.value.code == code


@pytest.mark.parametrize("parser", PARSERS)
@given(
    sent=st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(),
        st.lists(st.text(max_size=3), max_size=3),
        st.dictionaries(st.text(), st.none(), max_size=2),
    )
)
@settings(max_examples=50, deadline=None)
def test_any_value_is_refused_or_normal_after_one_pass(parser: str, sent: object) -> None:
    try:
        normal = PARSERS[parser](sent)
    except InvalidValueError:
        return
    assert PARSERS[parser](normal) == normal


def test_there_are_249_countries() -> None:
    assert len(COUNTRY_CODES) == 249
