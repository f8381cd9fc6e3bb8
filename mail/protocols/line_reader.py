"""Bytes to lines, with hard limits: what a hostile server can make us hold is bounded.

Sans-I/O: knows neither sockets nor protocols.
"""

from __future__ import annotations

from domain.check import Category
from mail.protocols.dialogue import ProbeFailed

MAX_LINE_BYTES = 2048
MAX_REPLY_LINES = 128
MAX_REPLY_BYTES = 64 * 1024


class LineReader:
    r"""Collects bytes and hands out lines without their line end.

    A line ends with LF; a CR before it is dropped, so bare LF is tolerated as mail clients
    tolerate it. A reply is everything that arrives between two of our commands.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._lines = 0
        self._bytes = 0

    @property
    def has_unread(self) -> bool:
        """Whether bytes are left over that no line has been made of."""
        return bool(self._buffer)

    def start_reply(self) -> None:
        """Begin to count anew: a command has been sent."""
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
        # Only what came since the last look is searched: a byte at a time stays linear.
        end = self._buffer.find(b"\n", self._searched)
        length = len(self._buffer) if end < 0 else end + 1
        if length > MAX_LINE_BYTES:
            raise ProbeFailed(Category.LINE_TOO_LONG, f"a line of more than {MAX_LINE_BYTES} bytes")
        if end < 0:
            self._searched = length
            return None
        self._count(length)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line.removesuffix(b"\r")

    def _count(self, length: int) -> None:
        self._lines += 1
        self._bytes += length
        if self._lines > MAX_REPLY_LINES:
            raise ProbeFailed(
                Category.TOO_MANY_LINES, f"a reply of more than {MAX_REPLY_LINES} lines"
            )
        if self._bytes > MAX_REPLY_BYTES:
            raise ProbeFailed(
                Category.RESPONSE_TOO_LARGE, f"a reply of more than {MAX_REPLY_BYTES} bytes"
            )
