"""Which known name an unknown one may mean."""

from __future__ import annotations

from domain.suggestions import likely_name, unknown_name


def test_a_name_that_is_alike_is_suggested() -> None:
    assert likely_name("serch", ["search", "page"]) == "search"
    assert (
        unknown_name("serch", ["search"], "field") == "is not a known field; did you mean search?"
    )
    assert unknown_name("zzz", ["search"], "field") == "is not a known field"


def test_a_very_long_name_is_compared_with_nothing() -> None:
    assert likely_name("search" * 20, ["search" * 20 + "x"]) is None
