"""A test that this machine must be able to run is not skipped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator


REQUIRED = frozenset(os.environ.get("POSTWATCH_TESTS_REQUIRE", "").split())
"""Markers whose tests must not be skipped: CI installs what they need."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where the test's marker is required."""
    report = yield
    if report.skipped and REQUIRED.intersection(mark.name for mark in item.iter_markers()):
        report.outcome = "failed"
        report.longrepr = f"skipped, but it must run here: {report.longrepr}"
    return report
