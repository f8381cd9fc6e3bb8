"""What counts as the hostname of a mail server (contract Q-9).

RFC 1123 names (IDN turned into A-labels, RFC 5891), IPv4 and IPv6 literals; never a
URL. Each refusal says what stands there that does not belong.
"""

from __future__ import annotations

import ipaddress
import re

import idna

from domain.errors import InvalidValueError

MAX_LENGTH = 253
"""Characters of a name in its DNS form without the final dot (RFC 1035, 2.3.4)."""

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_MISPLACED = (
    ("scheme", re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://"), "a protocol such as https://"),
    ("path", re.compile(r"[/\\?#]"), "a path"),
    ("user", re.compile(r"@"), "a user name"),
    ("brackets", re.compile(r"[\[\]]"), "brackets: write an IPv6 address bare"),
    ("port", re.compile(r"^[^:]*:\d*$"), "a port: it has a field of its own"),
)


def parse_hostname(value: object) -> str:
    """Return the normal form of a hostname or address literal: lower case, A-labels.

    One trailing dot is dropped. Raises InvalidValueError with a code that says what is
    wrong: `type`, `required`, `blank`, `scheme`, `path`, `user`, `port`, `brackets`,
    `too_long`, `invalid`.
    """
    if not isinstance(value, str):
        raise InvalidValueError("type", "must be a string")
    if not value:
        raise InvalidValueError("required", "must not be empty")
    if any(char.isspace() or not char.isprintable() for char in value):
        raise InvalidValueError("blank", "must not contain blanks or control characters")
    for code, pattern, what in _MISPLACED:
        if pattern.search(value):
            raise InvalidValueError(code, f"must be a hostname only, without {what}")
    return _parse_address(value) or _parse_name(value.removesuffix("."))


def _parse_address(value: str) -> str | None:
    if "%" in value:
        raise InvalidValueError("invalid", "must not contain a zone or a percent sign")
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return None


def _parse_name(value: str) -> str:
    if len(value) > MAX_LENGTH:
        raise InvalidValueError("too_long", f"must have at most {MAX_LENGTH} characters")
    name = value.lower() if value.isascii() else _to_a_labels(value)
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise InvalidValueError(
            "invalid",
            "must be a hostname: labels of letters, digits and hyphens, at most 63 characters each",
        )
    if labels[-1].isdigit():
        raise InvalidValueError("invalid", "must not end in a number, unless it is an IP address")
    return name


def _to_a_labels(value: str) -> str:
    """Return the DNS form, which is held to the same length by the codec."""
    try:
        return idna.encode(value, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidValueError("invalid", "is not a valid internationalized hostname") from error
