"""The budget of sockets and the limit of open files, each try in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import logging, resource, sys
from checker.runtime.limits import Limits, fit_to_open_files

logging.basicConfig(stream=sys.stdout, format="%(message)s")
soft, hard, budget = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
fitted = fit_to_open_files(Limits(open_sockets=budget))
print(fitted.open_sockets, *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def fit(soft: int, hard: int, budget: int) -> list[str]:
    """Return what is printed: log lines, then the budget and both limits."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, (soft, hard, budget))],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("soft", "hard", "budget", "printed"),
    [
        (512, 1024, 100, "100 512 1024"),
        (200, 1024, 300, "300 728 1024"),
        (200, 1024, 448, "448 1024 1024"),
    ],
)
def test_limit_is_raised_as_far_as_needed(soft: int, hard: int, budget: int, printed: str) -> None:
    assert fit(soft, hard, budget) == [printed]


def test_budget_is_lowered_when_the_limit_cannot_be_raised() -> None:
    line, printed = fit(256, 512, 2000)

    assert printed == "192 512 512"
    assert line.startswith("at most 192 checks at a time instead of 2000")
    assert "allow 4128" in line
