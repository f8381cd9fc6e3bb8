"""Counts of durations in fixed buckets: small, quick to add to, and exact to merge.

Each power of two is cut into 32 buckets, so the middle of a bucket is at most 1.6 % away from
what was counted in it; below 64 microseconds a bucket is one microsecond. Whole numbers
only, so every machine counts the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Counts = dict[int, int]
"""How often each bucket was met."""

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
        # As `bucket_of` does; here because calling it takes longer than what it does.
        shift = each.bit_length() - _FINE_BITS - 1
        bucket = (shift << _FINE_BITS) + (each >> shift) if shift > 0 else max(0, each)
        into[bucket] = into.get(bucket, 0) + 1


def middle_of(bucket: int) -> int:
    """Return the microseconds that a bucket stands for."""
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


def merge(into: Counts, more: Mapping[int, int]) -> None:
    """Add counts to others."""
    for bucket, count in more.items():
        into[bucket] = into.get(bucket, 0) + count


def pack(counts: Mapping[int, int]) -> str:
    """Return counts as a short text: how far each bucket is behind the last, and how many."""
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
