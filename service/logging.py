"""Log lines on stderr: JSON for programs, text for people."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import orjson
from typing_extensions import override

from service.visible_text import visible, visible_lines

if TYPE_CHECKING:
    from collections.abc import Mapping


_LINE: Final = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
_EXTRA: Final = ("method", "route", "status", "duration_ms", "request_id", "token_id")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line: time, level, logger, message and the extra fields of the record."""
        known = record.__dict__
        line = {
            "time": datetime.fromtimestamp(record.created, tz=UTC),
            "level": _level(record.levelno),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: known[name] for name in _EXTRA if known.get(name) is not None},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, option=orjson.OPT_UTC_Z).decode()


class TextFormatter(logging.Formatter):
    """Lines for people: a message controls no terminal; a traceback keeps its lines."""

    @override
    def formatMessage(self, record: logging.LogRecord) -> str:
        return visible(super().formatMessage(record))

    @override
    def formatException(self, ei: Any) -> str:
        return visible_lines(super().formatException(ei))


class JsonLines:
    """Writes the line of each request of the API without `logging`.

    A log record takes several times the CPU of the line itself.
    """

    def __init__(self, stream: BinaryIO, logger: str) -> None:
        self._stream = stream
        self._logger = logger

    def __call__(self, level: int, line: Mapping[str, object]) -> None:
        """Write a line with the time, a level and the logger.

        A failed write, on a full disk, say, does not fail the request; `logging` ignores it
        as well.
        """
        now = datetime.now(tz=UTC)
        whole = {"time": now, "level": _level(level), "logger": self._logger, **line}
        with suppress(OSError):
            self._stream.write(orjson.dumps(whole, option=_LINE))
            self._stream.flush()


def request_lines(form: str | None) -> JsonLines | None:
    """Return the writer of request lines in JSON; None for text, which `logging` writes."""
    return JsonLines(sys.stderr.buffer, "postwatch.api") if _form(form) == "json" else None


def configure(level: str, form: str | None) -> None:
    """Send all log lines to stderr; `form` None means text on a terminal, else JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter()
        if _form(form) == "json"
        else TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    )
    # No line shows these, so records do without them (Python's logging HOWTO, Optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _form(form: str | None) -> str:
    return form or ("text" if sys.stderr.isatty() else "json")


@cache
def _level(number: int) -> str:
    return logging.getLevelName(number).lower()
