"""A line that every request would log is throttled."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from api.http.log_throttle import LogThrottle

if TYPE_CHECKING:
    import pytest


class Subject:
    """What lines are about."""


def test_a_thousand_failures_log_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    now, subject, other = [0.0], Subject(), Subject()
    throttle = LogThrottle(lambda: now[0])

    for _ in range(1000):
        throttle.log(logging.ERROR, subject, "the store %s", "is away")
    now[0] = 10.0
    throttle.log(logging.ERROR, other, "the store %s", "is full")
    throttle.log(logging.ERROR, subject, "the store %s", "is away")

    assert caplog.messages == [
        "the store is away",
        "the store is full",
        "the store is away (and 999 times in between)",
    ]
