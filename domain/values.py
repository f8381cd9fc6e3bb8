"""The values of fields: parsers that check a value and return its normal form, and comparison.

A parser takes what a caller sent and returns what an event may store, or raises
InvalidValueError. The text of the error never repeats the value.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final

import idna

from domain.errors import InvalidValueError

MIN_INTERVAL_MINUTES: Final = 0.1
MAX_INTERVAL_MINUTES: Final = 1440
DEFAULT_INTERVAL_MINUTES: Final = 5
MIN_TIMEOUT_SECONDS: Final = 1
MAX_TIMEOUT_SECONDS: Final = 60
DEFAULT_TIMEOUT_SECONDS: Final = 30
MAX_NAME_LENGTH: Final = 255
MAX_PORT: Final = 65535

STATUSES: Final = ("active", "maintenance", "disabled", "paused", "inactive")
"""What a caller may send; `paused` and `inactive` are stored as `disabled` (contract Q-21)."""

_STORED_STATUS: Final = {"paused": "disabled", "inactive": "disabled"}
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,253}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()/.-]{2,31}")


def parse_name(value: object) -> str:
    """Return a name of 1 to 255 printable characters, blanks at both ends removed."""
    if not isinstance(value, str):
        raise InvalidValueError("type", "must be a string")
    name = value.strip()
    if not name:
        raise InvalidValueError("required", "must not be empty")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidValueError("too_long", f"must have at most {MAX_NAME_LENGTH} characters")
    if not name.isprintable():
        raise InvalidValueError("invalid", "must not contain control characters")
    return name


def parse_port(value: object) -> int | None:
    """Return a TCP port, or None for the protocol's default (contract Q-10)."""
    if value is None:
        return None
    if type(value) is not int:
        raise InvalidValueError("type", "must be a whole number or null")
    if not 1 <= value <= MAX_PORT:
        raise InvalidValueError("range", f"must be from 1 to {MAX_PORT}")
    return value


def parse_status(value: object) -> str:
    """Return `active`, `maintenance` or `disabled` (contract Q-21)."""
    if not isinstance(value, str) or value not in STATUSES:
        raise InvalidValueError("invalid", f"must be one of {', '.join(STATUSES)}")
    return _STORED_STATUS.get(value, value)


def parse_check_interval(value: object) -> float:
    """Return the minutes between two checks: 0.1 to 1440, fractions allowed (contract Q-6)."""
    return _parse_number(value, MIN_INTERVAL_MINUTES, MAX_INTERVAL_MINUTES, "minutes")


def parse_timeout_seconds(value: object) -> float:
    """Return the seconds that bound a whole check: 1 to 60 (contract Q-6)."""
    return _parse_number(value, MIN_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, "seconds")


def _parse_number(value: object, low: float, high: float, unit: str) -> float:
    if type(value) not in (int, float):
        raise InvalidValueError("type", f"must be a number of {unit}")
    number = float(value)  # type: ignore[arg-type] # the line above admits numbers only
    if not low <= number <= high:
        raise InvalidValueError("range", f"must be from {low} to {high} {unit}")
    return int(number) if number.is_integer() else number


def parse_email(value: object) -> str | None:
    """Return an address of the form local@domain, or None to clear it."""
    return _parse_text(value, _EMAIL, "an email address")


def parse_phone_number(value: object) -> str | None:
    """Return a telephone number with its usual separators, or None to clear it."""
    return _parse_text(value, _PHONE, "a telephone number such as +49 170 1234567")


def _parse_text(value: object, pattern: re.Pattern[str], what: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidValueError("type", "must be a string or null")
    if not value.isprintable() or not pattern.fullmatch(value):
        raise InvalidValueError("invalid", f"must be {what}, or null")
    return value


MAX_HOSTNAME_LENGTH: Final = 253
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

    Accepts names of RFC 1123, internationalized names (RFC 5891) and IPv4 and IPv6 literals,
    never a URL (contract Q-9). One trailing dot is dropped. Raises InvalidValueError with a code
    that says what is wrong: `type`, `required`, `blank`, `scheme`, `path`, `user`, `port`,
    `brackets`, `too_long`, `invalid`.
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
    if len(value) > MAX_HOSTNAME_LENGTH:
        message = f"must have at most {MAX_HOSTNAME_LENGTH} characters"
        raise InvalidValueError("too_long", message)
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
    """Return the DNS form; the codec refuses names that are too long."""
    try:
        return idna.encode(value, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise InvalidValueError("invalid", "is not a valid internationalized hostname") from error


COUNTRY_CODES: Final = frozenset(
    re.findall(
        "[A-Z]{2}",
        """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR
    BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ
    EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW
    GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY
    KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV
    MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY
    QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG
    TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM
    ZW
    """,
    )
)


def parse_country_codes(value: object) -> list[str] | None:
    """Return upper-case codes without repeats, in the order given; an empty list is null.

    Contract C-7. Raises InvalidValueError on anything but a list of known codes.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidValueError("type", "must be a list of country codes, or null")
    codes = list(dict.fromkeys(each.strip(" ").upper() for each in value))
    # Outside ASCII, upper-casing can turn another text into two letters: a sharp s becomes SS.
    if not COUNTRY_CODES.issuperset(codes) or not all(each.isascii() for each in value):
        raise InvalidValueError("invalid", "must hold two-letter country codes of ISO 3166-1")
    return codes or None


def real_changes(asked: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    """Return those of the asked changes that differ from the current fields.

    Values are compared as JSON compares them: true is not 1. Raises KeyError on a field
    that is not among them.
    """
    return {name: value for name, value in asked.items() if not is_same(value, current[name])}


def is_same(one: object, other: object) -> bool:
    """Return whether two JSON values are the same to a reader of JSON: true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return one == other
