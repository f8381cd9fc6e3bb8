"""Makes lines of bytes, with limits on what a hostile server can make the checker hold.

Sans-I/O: it knows neither sockets nor protocols.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.check import Category
from mail.protocols.dialogue import ProbeFailed


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """How much a server may send: in one line with its line end, and between two commands."""

    line_bytes: int = 2048
    reply_lines: int = 128
    reply_bytes: int = 64 * 1024


SHORT_LINES: Final = ReplyLimits()
"""For protocols whose RFC limits a line to 512 octets (RFC 5321 4.5.3.1.5, RFC 2449 4)."""

_MOST_DIGITS: Final = 10
"""Of the length of a literal (RFC 9051 4.3: below 2^63). More are above every limit."""


def literal_octets(digits: bytes) -> int:
    """Return the length that a server announces for a literal, e.g. 12 for `{12}`.

    Raises:
        ProbeFailed: The number has so many digits that no limit allows it.
    """
    if len(digits) > _MOST_DIGITS:
        raise ProbeFailed(
            Category.RESPONSE_TOO_LARGE, "the server announces a literal above every limit"
        )
    return int(digits)


class LineReader:
    r"""Collects bytes and returns lines without their line end.

    A line ends with LF, and a CR before it is dropped: a bare LF is tolerated, as mail
    clients do. A reply is everything that arrives between two commands.
    """

    def __init__(self, limits: ReplyLimits = SHORT_LINES) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0
        self._lines = 0
        self._bytes = 0

    @property
    def has_unread(self) -> bool:
        """Whether bytes were fed that belong to no line yet."""
        return bool(self._buffer)

    @property
    def unread(self) -> bytes:
        """The beginning of what was fed and belongs to no line yet, as evidence for people."""
        return bytes(self._buffer[: SHORT_LINES.line_bytes])

    def start_reply(self) -> None:
        """Reset the counts of lines and bytes: a command has been sent."""
        self._lines = 0
        self._bytes = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they come from the network, split anywhere."""
        self._buffer += data

    def next_line(self) -> bytes | None:
        """Return the next whole line, or None when more bytes are needed.

        Raises:
            ProbeFailed: The line or the reply is over its limit.
        """
        # Only new bytes are searched, so the time is linear also for one byte at a time.
        end = self._buffer.find(b"\n", self._searched)
        length = len(self._buffer) if end < 0 else end + 1
        if length > self._limits.line_bytes:
            raise ProbeFailed(
                Category.LINE_TOO_LONG, f"a line of more than {self._limits.line_bytes} bytes"
            )
        if end < 0:
            self._searched = length
            return None
        self._lines += 1
        if self._lines > self._limits.reply_lines:
            raise ProbeFailed(
                Category.TOO_MANY_LINES, f"a reply of more than {self._limits.reply_lines} lines"
            )
        self._refuse_excess(length)
        return self._take(length).removesuffix(b"\n").removesuffix(b"\r")

    def next_octets(self, count: int) -> bytes | None:
        """Return exactly `count` bytes, or None when more bytes are needed.

        Raises:
            ProbeFailed: The reply is over its limit, also when only the announced count is.
        """
        self._refuse_excess(count)
        return self._take(count) if len(self._buffer) >= count else None

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._searched = 0
        self._bytes += length
        return taken

    def _refuse_excess(self, length: int) -> None:
        if self._bytes + length > self._limits.reply_bytes:
            raise ProbeFailed(
                Category.RESPONSE_TOO_LARGE,
                f"a reply of more than {self._limits.reply_bytes} bytes",
            )
