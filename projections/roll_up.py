"""What remains of the checks of an hour: counts, durations by phase, time in each state.

Two of them merge into that of both times, exactly: an hour from its parts, a day from its
hours, several locations into one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from domain.uptime import STATES
from projections import histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from projections.histogram import Counts

_CODES: Final = {
    "dns": "d",
    "connect": "c",
    "tls": "s",
    "greeting": "g",
    "ehlo": "e",
    "capability": "p",
    "starttls": "t",
    "auth": "a",
    "mailbox": "m",
    "quit": "q",
    "total": "T",
}
"""Phases in one letter, as they are stored. A phase without one stands there by its name."""

_NAMES: Final = {code: name for name, code in _CODES.items()}
_MICROSECONDS: Final = 1000
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE: Final = len(_DIGITS)
_HEAD: Final = 2 + len(STATES)


@dataclass(slots=True)
class Phase:
    """The durations of one phase: the longest in microseconds, and all in buckets."""

    longest: int = 0
    counts: Counts = field(default_factory=dict)

    def add(self, found_ms: Iterable[float]) -> None:
        """Count durations, in milliseconds."""
        durations = [round(each * _MICROSECONDS) for each in found_ms]
        self.longest = max(self.longest, *durations)
        histogram.add(self.counts, durations)


@dataclass(slots=True)
class RollUp:
    """The checks of some time. `known_ms` is the time in each of `STATES`."""

    checks: int = 0
    failed: int = 0
    known_ms: list[int] = field(default_factory=lambda: [0] * len(STATES))
    phases: dict[str, Phase] = field(default_factory=dict)

    def merge(self, other: RollUp) -> None:
        """Add another time, or the same time seen from elsewhere."""
        self.checks += other.checks
        self.failed += other.failed
        self.known_ms = [
            mine + more for mine, more in zip(self.known_ms, other.known_ms, strict=True)
        ]
        for name, phase in other.phases.items():
            mine = self.phases.setdefault(name, Phase())
            mine.longest = max(mine.longest, phase.longest)
            histogram.merge(mine.counts, phase.counts)


def to_text(roll_up: RollUp) -> str:
    """Return a roll-up as it is stored: checks, failed, states, then each phase; base 36."""
    head = [roll_up.checks, roll_up.failed, *roll_up.known_ms]
    return " ".join([*map(_base36, head), *_to_parts(roll_up.phases)])


def from_text(text: str) -> RollUp:
    """Return a stored roll-up."""
    parts = text.split(" ")
    checks, failed, *known = (int(each, _BASE) for each in parts[:_HEAD])
    return RollUp(checks, failed, known, _from_parts(parts[_HEAD:]))


def from_open(record: dict[str, Any]) -> RollUp:
    """Return the roll-up of an hour that is still added to (`roll_ups.new_hour`)."""
    phases = _from_parts(record["counted"].split())
    for names, rows in record["recent"].items():
        columns = zip(*orjson.loads(f"[{rows}]"), strict=True)
        for name, found_ms in zip(names.split(" "), columns, strict=True):
            phases.setdefault(name, Phase()).add(found_ms)
    return RollUp(record["checks"], record["failed"], list(record["known_ms"]), phases)


def put_aside(record: dict[str, Any], timings: dict[str, float]) -> None:
    """Add the durations of a check, in milliseconds, to an hour that is still added to.

    They are kept as a text, by the names of their phases: whoever adds the next ones need
    not make numbers of it.
    """
    names, row = " ".join(timings), orjson.dumps([*timings.values()]).decode()
    before = record["recent"].get(names)
    record["recent"][names] = f"{before},{row}" if before else row


def count_recent(record: dict[str, Any]) -> None:
    """Count what was put aside, so that it takes no more room than its buckets do."""
    record["counted"] = " ".join(_to_parts(from_open(record).phases))
    record["recent"] = {}


def _to_parts(phases: dict[str, Phase]) -> list[str]:
    return [
        f"{_CODES.get(name, name)}:{_base36(phase.longest)}:{histogram.pack(phase.counts)}"
        for name, phase in sorted(phases.items())
    ]


def _from_parts(parts: Iterable[str]) -> dict[str, Phase]:
    phases = {}
    for part in parts:
        code, longest, counts = part.split(":")
        phases[_NAMES.get(code, code)] = Phase(int(longest, _BASE), histogram.unpack(counts))
    return phases


def _base36(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, _BASE)
        text = _DIGITS[digit] + text
        if not number:
            return text
