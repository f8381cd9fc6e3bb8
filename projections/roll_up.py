"""What remains of the checks of an hour: counts, durations by phase, time in each state.

Two of them merge into that of both times, exactly: an hour from its parts, a day from its
hours, several locations into one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from domain.uptime import STATES
from projections import histogram

if TYPE_CHECKING:
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
    phases = (
        f"{_CODES.get(name, name)}:{_base36(phase.longest)}:{histogram.pack(phase.counts)}"
        for name, phase in sorted(roll_up.phases.items())
    )
    return " ".join([*map(_base36, head), *phases])


def from_text(text: str) -> RollUp:
    """Return a stored roll-up."""
    parts = text.split(" ")
    checks, failed, *known = (int(each, _BASE) for each in parts[:_HEAD])
    phases = {}
    for part in parts[_HEAD:]:
        code, longest, counts = part.split(":")
        phases[_NAMES.get(code, code)] = Phase(int(longest, _BASE), histogram.unpack(counts))
    return RollUp(checks, failed, known, phases)


def from_open(record: dict[str, Any]) -> RollUp:
    """Return the roll-up of an hour that is still added to (`roll_ups.new_hour`)."""
    phases = {
        name: Phase(longest, {int(bucket): count for bucket, count in counts.items()})
        for name, (longest, counts) in counted(record).items()
    }
    return RollUp(record["checks"], record["failed"], list(record["known_ms"]), phases)


def counted(record: dict[str, Any]) -> dict[str, Any]:
    """Return the phases of an hour that is still added to, with all durations counted.

    A phase is its longest duration and the counts of its buckets, whose numbers are texts,
    because keys of JSON are.
    """
    durations: defaultdict[str, list[int]] = defaultdict(list)
    for names, rows in record["recent"].items():
        for name, found_ms in zip(names.split(" "), zip(*rows, strict=True), strict=True):
            durations[name] += [round(each * _MICROSECONDS) for each in found_ms]
    phases = dict(record["phases"])
    for name, found in durations.items():
        longest, counts = phases.get(name, (0, {}))
        more = Counter(map(str, map(histogram.bucket_of, found)))
        more.update(counts)
        phases[name] = [max(longest, *found), dict(more)]
    return phases


def _base36(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, _BASE)
        text = _DIGITS[digit] + text
        if not number:
            return text
