"""Finds, in the source of the tests, literals that can make them fail by chance."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


TESTS: Final = Path(__file__).resolve().parent
SHORTEST_DEADLINE_SECONDS: Final = 20
WAITS: Final = frozenset(
    {"communicate", "fail_after", "hold", "join", "result", "run", "until", "wait", "wait_until"}
)
"""Calls that fail when their time is over."""

NAMED: Final = frozenset({"seconds", "timeout", "wait_seconds"})
BY_POSITION: Final = frozenset({"fail_after", "join", "result", "wait"})
DIFFERENT_EACH_TIME: Final = frozenset({"uuid1", "uuid4", "now", "utc_now", "time", "urandom"})


def called(node: ast.Call) -> str:
    """Return the last part of the name of what is called."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def calls_in(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def expected_to_fail(tree: ast.AST) -> set[ast.AST]:
    """Return everything within a `with pytest.raises(...)`."""
    return {
        inside
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        and any(
            isinstance(each.context_expr, ast.Call) and called(each.context_expr) == "raises"
            for each in node.items
        )
        for inside in ast.walk(node)
    }


def short_deadlines(tree: ast.AST) -> Iterator[str]:
    """Yield waits that a busy machine may not keep; those of a polling loop are no deadlines."""
    failing = expected_to_fail(tree)
    for call in calls_in(tree):
        if called(call) not in WAITS or call in failing:
            continue
        limits = [each.value for each in call.keywords if each.arg in NAMED]
        limits += call.args[:1] if called(call) in BY_POSITION else []
        for limit in limits:
            value = limit.value if isinstance(limit, ast.Constant) else None
            if isinstance(value, int | float) and 0.1 < value < SHORTEST_DEADLINE_SECONDS:
                yield f"{call.lineno}: {called(call)} gives up after {value} s"


def sleeps(tree: ast.AST) -> Iterator[str]:
    for call in calls_in(tree):
        function = call.func
        if isinstance(function, ast.Attribute) and ast.unparse(function) == "time.sleep":
            yield f"{call.lineno}: time.sleep"


def values_by_chance(tree: ast.AST) -> Iterator[str]:
    """Yield parameters of tests that are others in each process, so in each worker."""
    for call in calls_in(tree):
        if called(call) == "parametrize":
            for inside in calls_in(call):
                if called(inside) in DIFFERENT_EACH_TIME:
                    yield f"{inside.lineno}: {called(inside)}() among the parameters"


def problems_in(source: str) -> list[str]:
    tree = ast.parse(source)
    return [*short_deadlines(tree), *sleeps(tree), *values_by_chance(tree)]


def test_no_test_sleeps_waits_for_a_short_time_or_has_parameters_by_chance() -> None:
    found = [
        f"{file.relative_to(TESTS)}:{each}"
        for file in sorted(TESTS.rglob("*.py"))
        for each in problems_in(file.read_text())
    ]

    assert found == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("wait_until(done, seconds=5)", "1: wait_until gives up after 5 s"),
        ("barrier.wait(10)", "1: wait gives up after 10 s"),
        ("with trio.fail_after(2.5): pass", "1: fail_after gives up after 2.5 s"),
        ("\nprocess.communicate(timeout=3)", "2: communicate gives up after 3 s"),
        ("time.sleep(0.1)", "1: time.sleep"),
        ("@parametrize('x', [uuid4()])\ndef f(): pass", "1: uuid4() among the parameters"),
    ],
)
def test_what_fails_by_chance_is_found_with_its_line(source: str, said: str) -> None:
    assert problems_in(source) == [said]


@pytest.mark.parametrize(
    "source",
    [
        "wait_until(done)",
        "wait_until(done, seconds=SECONDS)",
        "thread.join(30)",
        "stop.wait(0.05)",
        "with pytest.raises(TimeoutError):\n    writing.result(timeout=0.3)",
        "await trio.sleep(3600)",
        "' '.join(words)",
    ],
)
def test_what_is_right_is_not_reported(source: str) -> None:
    assert problems_in(source) == []
