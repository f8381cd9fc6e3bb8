"""A roll-up: the checks of some time in short. Counts, durations by phase, time in each state.

Two roll-ups merge exactly: an hour from its parts, a day from its hours, several locations into
one. Durations are counted in fixed buckets. Each power of two has 32 of them, so the middle of
a bucket is at most 1.6 % away from a duration in it; below 64 microseconds a bucket is one
microsecond. Whole numbers only, so every machine counts the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from domain.availability import CHECK_STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


Counts = dict[int, int]
"""The number of durations in each bucket."""

_FINE_BITS: Final = 5
_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
_DIGIT: Final = {character: number for number, character in enumerate(_ALPHABET)}
_LOW: Final = 0x1F
_MORE: Final = 0x20
_KNOWN_NUMBERS: Final = 1 << 12


def bucket_of(microseconds: int) -> int:
    """Return the bucket of a duration."""
    shift = microseconds.bit_length() - _FINE_BITS - 1
    if shift <= 0:
        return max(0, microseconds)
    return (shift << _FINE_BITS) + (microseconds >> shift)


def add(into: Counts, durations: Iterable[int]) -> None:
    """Count durations, in microseconds."""
    for each in durations:
        # The body of `bucket_of`: the call would take longer than the calculation.
        shift = each.bit_length() - _FINE_BITS - 1
        bucket = (shift << _FINE_BITS) + (each >> shift) if shift > 0 else max(0, each)
        into[bucket] = into.get(bucket, 0) + 1


def middle_of(bucket: int) -> int:
    """Return the microseconds in the middle of a bucket."""
    shift = (bucket >> _FINE_BITS) - 1
    if shift <= 0:
        return bucket
    return ((bucket - (shift << _FINE_BITS)) << shift) + (1 << shift - 1)


def quantile(counts: Mapping[int, int], share: float) -> int | None:
    """Return the microseconds that a share of the durations do not exceed; None without any."""
    rank = share * sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= rank:
            return middle_of(bucket)
    return None


def mean(counts: Mapping[int, int]) -> float | None:
    """Return the mean of the durations in microseconds, at most 1.6 % off; None without any."""
    number = sum(counts.values())
    whole = sum(middle_of(bucket) * count for bucket, count in counts.items())
    return whole / number if number else None


def merge(into: Counts, more: Mapping[int, int]) -> None:
    """Add counts to others."""
    for bucket, count in more.items():
        into[bucket] = into.get(bucket, 0) + count


def pack(counts: Mapping[int, int]) -> str:
    """Return counts as a short text: the distance of each bucket from the one before, its count."""
    text: list[str] = []
    last = 0
    for bucket in sorted(counts):
        count = counts[bucket]
        # The lowest bit says that a number follows, because most counts are one.
        text.append(_digits((bucket - last) * 2 + (count > 1)))
        if count > 1:
            text.append(_digits(count))
        last = bucket
    return "".join(text)


def unpack(text: str) -> Counts:
    """Return the counts."""
    counts: Counts = {}
    numbers = _numbers(text)
    bucket = 0
    for number in numbers:
        bucket += number >> 1
        counts[bucket] = next(numbers) if number & 1 else 1
    return counts


@lru_cache(_KNOWN_NUMBERS)
def _digits(number: int) -> str:
    """Return a number five bits at a time, lowest first."""
    text = ""
    while number > _LOW:
        text += _ALPHABET[number & _LOW | _MORE]
        number >>= _FINE_BITS
    return text + _ALPHABET[number]


def _numbers(text: str) -> Iterator[int]:
    number = place = 0
    for character in text:
        digit = _DIGIT[character]
        number |= (digit & _LOW) << place
        place += _FINE_BITS
        if not digit & _MORE:
            yield number
            number = place = 0


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
"""The stored letter of each phase. A phase without one is stored by its name."""

_NAMES: Final = {code: name for name, code in _CODES.items()}
_MICROSECONDS: Final = 1000
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE: Final = len(_DIGITS)
_HEAD: Final = 2 + len(CHECK_STATES)


@dataclass(slots=True)
class PhaseDurations:
    """The durations of one phase: the longest in microseconds, and all in buckets."""

    longest: int = 0
    counts: Counts = field(default_factory=dict)

    def add(self, found_ms: Iterable[float]) -> None:
        """Count durations, in milliseconds."""
        durations = [round(each * _MICROSECONDS) for each in found_ms]
        self.longest = max(self.longest, *durations)
        add(self.counts, durations)


@dataclass(slots=True)
class RollUp:
    """The checks of some time. `known_ms` is the time in each of `CHECK_STATES`."""

    checks: int = 0
    failed: int = 0
    known_ms: list[int] = field(default_factory=lambda: [0] * len(CHECK_STATES))
    phases: dict[str, PhaseDurations] = field(default_factory=dict)

    def merge(self, other: RollUp) -> None:
        """Add another time, or the same time at another location."""
        self.checks += other.checks
        self.failed += other.failed
        self.known_ms = [
            mine + more for mine, more in zip(self.known_ms, other.known_ms, strict=True)
        ]
        for name, phase in other.phases.items():
            mine = self.phases.setdefault(name, PhaseDurations())
            mine.longest = max(mine.longest, phase.longest)
            merge(mine.counts, phase.counts)


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
    """Return the roll-up of an open hour (`uptime.new_hour`)."""
    phases = _from_parts(record["counted"].split())
    for names, rows in record["recent"].items():
        columns = zip(*orjson.loads(f"[{rows}]"), strict=True)
        for name, found_ms in zip(names.split(" "), columns, strict=True):
            phases.setdefault(name, PhaseDurations()).add(found_ms)
    return RollUp(record["checks"], record["failed"], list(record["known_ms"]), phases)


def add_recent(record: dict[str, Any], timings: dict[str, float]) -> None:
    """Add the durations of a check, in milliseconds, to the record of an open hour.

    The record keeps them as a text by the names of their phases, so that adding the next ones
    parses no numbers.
    """
    names, row = " ".join(timings), orjson.dumps([*timings.values()]).decode()
    before = record["recent"].get(names)
    record["recent"][names] = f"{before},{row}" if before else row


def count_recent(record: dict[str, Any]) -> None:
    """Count the collected durations of an open hour, so that they take only the room of buckets."""
    record["counted"] = " ".join(_to_parts(from_open(record).phases))
    record["recent"] = {}


def _to_parts(phases: dict[str, PhaseDurations]) -> list[str]:
    return [
        f"{_CODES.get(name, name)}:{_base36(phase.longest)}:{pack(phase.counts)}"
        for name, phase in sorted(phases.items())
    ]


def _from_parts(parts: Iterable[str]) -> dict[str, PhaseDurations]:
    phases = {}
    for part in parts:
        code, longest, counts = part.split(":")
        phases[_NAMES.get(code, code)] = PhaseDurations(int(longest, _BASE), unpack(counts))
    return phases


def _base36(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, _BASE)
        text = _DIGITS[digit] + text
        if not number:
            return text
