"""What every request meets is told in few lines."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from api.http.log_throttle import LogThrottle

if TYPE_CHECKING:
    import pytest


class Subject:
    """What lines are about."""


def test_a_thousand_failures_are_two_lines(caplog: pytest.LogCaptureFixture) -> None:
    now, subject, other = [0.0], Subject(), Subject()
    seldom = LogThrottle(lambda: now[0])

    for _ in range(1000):
        seldom.tell(logging.ERROR, subject, "the store %s", "is away")
    now[0] = 10.0
    seldom.tell(logging.ERROR, other, "the store %s", "is full")
    seldom.tell(logging.ERROR, subject, "the store %s", "is away")

    assert caplog.messages == [
        "the store is away",
        "the store is full",
        "the store is away (and 999 times in between)",
    ]
