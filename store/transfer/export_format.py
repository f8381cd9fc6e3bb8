"""The lines of an export: a header, wrapped keys, events of each log in order, an end.

Each line is one JSON object. The state of an event is embedded as stored, byte for byte; a
state that a JSON reader and writer would change is in base64.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import a2b_hex
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson

from domain.errors import TransferError
from domain.event_mapper import Row
from store.ports.engine import LOGS

FORMAT: Final = "postwatch-export"
VERSION: Final = 2
"""Version 1 had no `incidents` log."""

_LOGS_OF_VERSION_1: Final = ("monitoring", "checks")


@dataclass(frozen=True, slots=True)
class Header:
    """The first line. `last_given` is the highest position ever given, by log."""

    made_at: str
    master_key: str
    last_given: dict[str, int]

    def line(self) -> bytes:
        """Return the line."""
        return _line(
            {
                "format": FORMAT,
                "version": VERSION,
                "madeAt": self.made_at,
                "masterKey": self.master_key,
                "lastGiven": self.last_given,
            }
        )


@dataclass(frozen=True, slots=True)
class End:
    """The last line: how many keys and events there are, and checksums.

    `sha256` is over all lines before it. `mac` is HMAC-SHA256 of that digest under a key
    derived from the master key, so that a change without the master key is detected.
    """

    keys: int
    events: dict[str, int]
    sha256: str
    mac: str

    def line(self) -> bytes:
        """Return the line."""
        named = {"keys": self.keys, "events": self.events, "sha256": self.sha256, "mac": self.mac}
        return _line({"end": named})


def mac_of(master_key: bytes, sha256: str) -> str:
    """Return the code that authenticates an export under its master key."""
    own_key = hmac.digest(master_key, b"postwatch export", "sha256")
    return hmac.digest(own_key, sha256.encode(), "sha256").hex()


def key_line(owner: str, wrapped: bytes) -> bytes:
    """Return the line of a wrapped key."""
    return _line({"key": owner, "wrapped": b64encode(wrapped).decode("ascii")})


def event_line(log: str, row: Row) -> bytes:
    """Return the line of an event. Raises TransferError if the row is none."""
    try:
        stream, version, topic = UUID(bytes=a2b_hex(row.originator_id)), int(row.version), row.topic
        found = {
            "log": log,
            "position": row.position,
            "stream": str(stream),
            "version": version,
            "topic": topic.decode(),
            **_state(row.state),
        }
        is_event = (stream.hex.encode(), b"%d" % version) == (row.originator_id, row.version)
    except ValueError:
        is_event = False
    if not is_event:
        raise TransferError(
            f"the {log} log is damaged at position {row.position}: its row is no event; "
            "see `postwatch log verify`"
        )
    return _line(found)


def read_line(number: int, line: bytes) -> dict[str, Any]:
    """Return the object of a line. Raises TransferError."""
    try:
        found = orjson.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not line.endswith(b"\n"):
        raise TransferError(f"the export is damaged or cut off at line {number}")
    return found


def read_header(found: dict[str, Any]) -> Header:
    """Return the header. Raises TransferError, also when a newer version wrote it."""
    if found.get("format") != FORMAT or not isinstance(found.get("version"), int):
        raise TransferError("line 1 is not the header of a Postwatch export")
    if found["version"] > VERSION:
        raise TransferError(
            f"the export is of version {found['version']}, this Postwatch reads up to version "
            f"{VERSION}: import it with a newer Postwatch"
        )
    given = found.get("lastGiven")
    if (
        not isinstance(given, dict)
        or tuple(given) not in (LOGS, _LOGS_OF_VERSION_1)
        or not all(_is_number(each) for each in given.values())
        or not isinstance(found.get("masterKey"), str)
    ):
        raise TransferError("line 1 is damaged: it is not a whole header")
    return Header(str(found.get("madeAt")), found["masterKey"], given)


def read_key(number: int, found: dict[str, Any]) -> tuple[str, bytes]:
    """Return the owner and the wrapped key of a line. Raises TransferError."""
    try:
        owner, wrapped = found["key"], b64decode(found["wrapped"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise TransferError(f"line {number} is damaged: it is not a whole key") from None
    if not isinstance(owner, str):
        raise TransferError(f"line {number} is damaged: it is not a whole key")
    return owner, wrapped


def read_event(number: int, found: dict[str, Any]) -> tuple[str, Row]:
    """Return the log of an event, and the event as the log stores it. Raises TransferError."""
    try:
        log, position, version = found["log"], found["position"], found["version"]
        stream, topic = UUID(found["stream"]), found["topic"].encode()
        state = (
            orjson.dumps(found["state"])
            if "state" in found
            else b64decode(found["bytes"], validate=True)
        )
        is_event = _is_number(version) and _is_number(position) and log in LOGS
    except (KeyError, TypeError, ValueError, AttributeError):
        is_event = False
    if not is_event:
        raise TransferError(f"line {number} is damaged: it is not a whole event")
    return log, Row(position, stream.hex.encode(), b"%d" % version, topic, state)


def read_end(number: int, found: dict[str, Any]) -> End:
    """Return the end. Raises TransferError."""
    try:
        return End(**found["end"])
    except (KeyError, TypeError):
        raise TransferError(f"line {number} is damaged: it is not a whole end") from None


def _is_number(value: object) -> bool:
    """Return whether this is a position or version that a log can store."""
    return type(value) is int and 0 <= value < 1 << 63


def _state(state: bytes) -> dict[str, Any]:
    try:
        is_same = orjson.dumps(orjson.loads(state)) == state
    except ValueError:
        is_same = False
    if is_same:
        return {"state": orjson.Fragment(state)}
    return {"bytes": b64encode(state).decode("ascii")}


def _line(found: dict[str, Any]) -> bytes:
    return orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)
