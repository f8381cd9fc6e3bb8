"""Rate and time left of a long command, also of one that goes on where another ended."""

from __future__ import annotations

import pytest

from cli.terminal.progress import RateMeter, progress, time_left


def test_what_an_earlier_run_did_does_not_count_for_the_rate() -> None:
    now = 100.0
    meter = RateMeter(clock=lambda: now)

    assert meter.per_second(900_000) == 0
    now = 102.0
    assert meter.per_second(900_500) == 250
    now = 110.0
    assert meter.per_second(910_000) == 1000


@pytest.mark.parametrize(
    ("done", "total", "rate", "text"),
    [
        (0, 100, 0.0, "-:--"),
        (0, 100, 10.0, "0:10"),
        (40, 100, 0.5, "2:00"),
        (0, 7325, 1.0, "2:02:05"),
        (100, 90, 5.0, "0:00"),
    ],
)
def test_time_left(done: int, total: int, rate: float, text: str) -> None:
    assert time_left(done, total, rate) == text


def test_without_a_terminal_a_line_tells_rate_and_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress("rebuilding checks", line_seconds=0) as report:
        report(50, 1000)
        report(60, 1000)

    first, second = capsys.readouterr().err.splitlines()
    assert first == "rebuilding checks: 50 of 1000 events, 0 events/s, -:-- left"
    assert second.startswith("rebuilding checks: 60 of 1000 events, ")
    assert not second.endswith("-:-- left")


def test_on_a_terminal_there_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress("rebuilding checks") as report:
        report(0, 1000)
        report(1000, 1000)

    shown = capsys.readouterr().err
    assert "1000/1000" in shown
    assert "0:00 left" in shown
