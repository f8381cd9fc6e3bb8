"""The types of notification channels: what a channel of each type needs to know.

A key of a config that is secret is sealed before it is stored. Alerting knows how to send by
each type (`alerting.delivery`); a type without an entry here does not exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

import orjson

from domain.errors import InvalidInputError, InvalidValueError, Problem
from domain.values import parse_email, parse_name, parse_phone_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Category = Literal["direct", "integration"]
Audience = Literal["people", "machines"]
"""People get one message for one server, machines one for each incident."""

MAX_RECIPIENTS: Final = 50
MAX_URL_LENGTH: Final = 2048
MAX_TEMPLATE_LENGTH: Final = 16 * 1024
MAX_HEADERS: Final = 20
MAX_HEADER_LENGTH: Final = 1024
MAX_SECRET_LENGTH: Final = 256
MIN_SECRET_LENGTH: Final = 8

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_OWN_HEADERS: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade"}
)
_METHODS: Final = ("POST", "PUT", "PATCH")
_LOWEST_FREE_PORT: Final = 1024
_ROUTING_KEY: Final = re.compile(r"[A-Za-z0-9]{32}")
_STATUS_RANGE: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One key of a channel's config: what checks its value, and whether it is a secret."""

    parse: Callable[[object], Any]
    is_required: bool = False
    is_secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelType:
    """One type of channels. `switch` is the class that a package switches off as a whole."""

    name: str
    category: Category
    audience: Audience
    switch: str
    keys: Mapping[str, ConfigKey]
    needs_extra: bool = False
    """Whether sending needs the extra `postwatch[apprise]`."""


def _email(value: object) -> str:
    found = parse_email(value)
    if found is None:
        raise InvalidValueError("required", "must be an email address")
    return found


def _emails(value: object) -> list[str]:
    if not isinstance(value, list):
        raise InvalidValueError("type", "must be a list of email addresses")
    if len(value) > MAX_RECIPIENTS:
        raise InvalidValueError("too_long", f"must have at most {MAX_RECIPIENTS} addresses")
    return list(dict.fromkeys(_email(each) for each in value))


def parse_url(value: object) -> str:
    """Return the URL of a receiver: https or http, without credentials or fragment.

    The address behind the name is judged when alerting connects to it.
    """
    if not isinstance(value, str) or not value:
        raise InvalidValueError("type", "must be a URL")
    if len(value) > MAX_URL_LENGTH:
        raise InvalidValueError("too_long", f"must have at most {MAX_URL_LENGTH} characters")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise InvalidValueError("invalid", "must be a URL of printable ASCII without blanks")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise InvalidValueError("invalid", "must be a URL") from None
    allowed_port = port in (None, 80, 443) or (port or 0) >= _LOWEST_FREE_PORT
    for is_right, code, message in (
        (parts.scheme in ("https", "http"), "scheme", "must begin with https:// or http://"),
        (parts.hostname, "invalid", "must name a host"),
        ("@" not in parts.netloc, "user", "must not contain a user or a password"),
        (not parts.fragment, "fragment", "must not contain a fragment"),
        (allowed_port, "port", f"must use port 80, 443, or {_LOWEST_FREE_PORT} and above"),
    ):
        if not is_right:
            raise InvalidValueError(code, message)
    return value


def _method(value: object) -> str:
    if not isinstance(value, str) or value.upper() not in _METHODS:
        raise InvalidValueError("invalid", f"must be one of {', '.join(_METHODS)}")
    return value.upper()


def _headers(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise InvalidValueError("type", "must be an object of header names and texts")
    if len(value) > MAX_HEADERS:
        raise InvalidValueError("too_long", f"must have at most {MAX_HEADERS} headers")
    for name, text in value.items():
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(name):
            raise InvalidValueError("invalid", "must have header names of RFC 9110")
        if lower in _OWN_HEADERS or lower.startswith(("webhook-", "x-webhook-")):
            raise InvalidValueError("reserved", "must not set a header that Postwatch sets")
        if len(text) > MAX_HEADER_LENGTH or not text.isascii() or not text.isprintable():
            raise InvalidValueError("invalid", "must have header values of printable ASCII")
    return dict(value)


def _template(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValueError("type", "must be a string")
    if len(value) > MAX_TEMPLATE_LENGTH:
        raise InvalidValueError("too_long", f"must have at most {MAX_TEMPLATE_LENGTH} characters")
    return value


def _status_codes(value: object) -> list[int]:
    """Read a list of status codes, or the documented text `200,201`."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list):
        raise InvalidValueError("type", "must be a list of HTTP status codes")
    try:
        codes = [int(each) for each in items if not isinstance(each, bool)]
    except (TypeError, ValueError):
        raise InvalidValueError("type", "must be a list of HTTP status codes") from None
    if not codes or not all(each in _STATUS_RANGE for each in codes):
        raise InvalidValueError("range", "must hold status codes from 200 to 299")
    return sorted(set(codes))


def _secret(value: object) -> str:
    if not isinstance(value, str) or not MIN_SECRET_LENGTH <= len(value) <= MAX_SECRET_LENGTH:
        raise InvalidValueError(
            "length", f"must have {MIN_SECRET_LENGTH} to {MAX_SECRET_LENGTH} characters"
        )
    if not value.isprintable():
        raise InvalidValueError("invalid", "must not contain control characters")
    return value


def _routing_key(value: object) -> str:
    if not isinstance(value, str) or not _ROUTING_KEY.fullmatch(value):
        raise InvalidValueError("invalid", "must be an integration key of 32 letters and digits")
    return value


def _seconds(value: object) -> int:
    if type(value) is not int or not 1 <= value <= 10:  # noqa: PLR2004 - said in the message
        raise InvalidValueError("range", "must be a whole number of seconds, 1 to 10")
    return value


def _any_number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise InvalidValueError("type", "must be a whole number")
    return value


def _apprise_url(value: object) -> str:
    if not isinstance(value, str) or "://" not in value or len(value) > MAX_URL_LENGTH:
        raise InvalidValueError("invalid", "must be a URL as the apprise library reads it")
    if not value.isprintable() or any(char.isspace() for char in value):
        raise InvalidValueError("invalid", "must not contain blanks or control characters")
    return value


_HOOK_URL: Final = ConfigKey(parse_url, is_required=True, is_secret=True)
"""Anyone who knows the URL of a hook can write to its chat, so the URL is a secret."""

_CHAT: Final[Mapping[str, ConfigKey]] = {"url": _HOOK_URL}
_BY_APPRISE: Final[Mapping[str, ConfigKey]] = {
    "url": ConfigKey(_apprise_url, is_required=True, is_secret=True)
}


def _direct(name: str, audience: Audience, keys: Mapping[str, ConfigKey]) -> ChannelType:
    return ChannelType(name=name, category="direct", audience=audience, switch=name, keys=keys)


def _integration(
    name: str,
    keys: Mapping[str, ConfigKey],
    audience: Audience = "people",
    *,
    needs_extra: bool = False,
) -> ChannelType:
    return ChannelType(
        name=name,
        category="integration",
        audience=audience,
        switch="integration",
        keys=keys,
        needs_extra=needs_extra,
    )


CHANNEL_TYPES: Final[Mapping[str, ChannelType]] = {
    each.name: each
    for each in (
        _direct(
            "email",
            "people",
            {
                "email": ConfigKey(_email, is_required=True),
                "to": ConfigKey(parse_name),
                "cc": ConfigKey(_emails),
            },
        ),
        _direct("sms", "people", {"phoneNumber": ConfigKey(parse_phone_number, is_required=True)}),
        _direct(
            "webhook",
            "machines",
            {
                "url": ConfigKey(parse_url, is_required=True),
                "method": ConfigKey(_method),
                "headers": ConfigKey(_headers, is_secret=True),
                "bodyTemplate": ConfigKey(_template),
                "timeout": ConfigKey(_seconds),
                "retryAttempts": ConfigKey(_any_number),
                "retryDelay": ConfigKey(_any_number),
                "expectedStatusCodes": ConfigKey(_status_codes),
                "secret": ConfigKey(_secret, is_secret=True),
            },
        ),
        _integration("slack", _CHAT),
        _integration("teams", _CHAT),
        _integration("discord", _CHAT),
        _integration(
            "pagerduty",
            {"routingKey": ConfigKey(_routing_key, is_required=True, is_secret=True)},
            "machines",
        ),
        *(
            _integration(name, _BY_APPRISE, needs_extra=True)
            for name in ("apprise", "telegram", "ntfy", "matrix", "opsgenie")
        ),
    )
}
"""Every type of channels by its name."""


def parse_channel_config(
    type_name: str, value: object, *, may_clear: bool = False
) -> dict[str, Any]:
    """Return the config of a channel; a JSON text of an object is accepted, as documented.

    `may_clear`: null stays in it for a key that is no secret. Of a secret, which answers show
    as null, it says nothing, so that a client may send back what it got.
    Raises InvalidInputError whose paths are relative to the config.
    """
    sent = _object(value)
    keys = CHANNEL_TYPES[type_name].keys
    parsed: dict[str, Any] = {}
    problems = [
        Problem(key, "unknown", f"is not known for {type_name}; known are {', '.join(keys)}")
        for key in sent
        if key not in keys and key != "hasSecret"
    ]
    for key, spec in keys.items():
        if sent.get(key) is None:
            if may_clear and key in sent and not spec.is_secret:
                parsed[key] = None
            continue
        try:
            parsed[key] = spec.parse(sent[key])
        except InvalidValueError as error:
            problems.append(Problem(key, error.code, error.message))
    if problems:
        raise InvalidInputError(tuple(problems))
    return parsed


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, dict):
        raise InvalidInputError((Problem("", "type", "must be an object"),))
    return value


def require_complete(type_name: str, config: Mapping[str, Any]) -> None:
    """Raise InvalidInputError when a config lacks what its type needs."""
    missing = [
        Problem(f"config.{key}", "required", "is required")
        for key, spec in CHANNEL_TYPES[type_name].keys.items()
        if spec.is_required and config.get(key) is None
    ]
    if missing:
        raise InvalidInputError(tuple(missing))


def secret_keys(type_name: str) -> tuple[str, ...]:
    """Return the keys of a type's config whose values are secrets."""
    return tuple(key for key, each in CHANNEL_TYPES[type_name].keys.items() if each.is_secret)
