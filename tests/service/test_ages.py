"""Ages in settings and options."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.errors import CommandError
from service.settings import Settings


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("", timedelta(days=2)),
        ("36h", timedelta(hours=36)),
        ("30d", timedelta(days=30)),
        ("8w", timedelta(weeks=8)),
        ("never", None),
    ],
)
def test_the_age_at_which_checks_are_archived_is_a_setting(
    text: str, age: timedelta | None
) -> None:
    assert Settings.from_env({"POSTWATCH_ARCHIVE_AFTER": text}).archive_after == age


@pytest.mark.parametrize("text", ["2", "0d", "2 days", "Never", "-1d", "1.5d", "999999d"])
def test_an_age_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match=r"POSTWATCH_ARCHIVE_AFTER: must be .*, or never"):
        Settings.from_env({"POSTWATCH_ARCHIVE_AFTER": text})
