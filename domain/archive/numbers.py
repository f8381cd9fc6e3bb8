"""Whole numbers as bytes that compress well: the lowest byte of each, then the next, and so on."""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_BYTES: Final = 8
_BITS: Final = 60
"""What numbers may have, so that sums of some still fit into 64."""


def fits(values: Sequence[int]) -> bool:
    """Return whether numbers can be packed."""
    return not values or max(*values, -min(values)).bit_length() <= _BITS


def pack(values: Sequence[int]) -> bytes:
    """Return numbers as bytes: the smallest one as 8 bytes, then how far each is above it."""
    if not values:
        return b""
    least = min(values)
    above = array("Q", [value - least for value in values])
    if sys.byteorder == "big":
        above.byteswap()
    raw = above.tobytes()
    width = ((max(values) - least).bit_length() + 7) // 8
    planes = b"".join(raw[each::_BYTES] for each in range(width))
    return least.to_bytes(_BYTES, "little", signed=True) + planes


def unpack(data: bytes, count: int) -> Sequence[int]:
    """Return `count` numbers. Raises ValueError when the bytes are not theirs."""
    if not count and not data:
        return array("q")
    width, rest = divmod(len(data) - _BYTES, max(count, 1))
    if len(data) < _BYTES or rest or width > _BYTES:
        raise ValueError("these are not the bytes of that many numbers")
    raw = bytearray(count * _BYTES)
    for each in range(width):
        start = _BYTES + each * count
        raw[each::_BYTES] = data[start : start + count]
    above = array("q")
    above.frombytes(raw)
    if sys.byteorder == "big":
        above.byteswap()
    least = int.from_bytes(data[:_BYTES], "little", signed=True)
    return array("q", [least + value for value in above]) if least else above
