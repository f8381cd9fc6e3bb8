"""The config object of a monitor: `smtpConfig` and `imapPopConfig` as documented.

Known keys are checked and coerced, unknown keys are kept as sent (contract Q-11). The
order of keys stays, so that an answer looks like the request. Defaults are not written
into the stored object: they are the checker's rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from domain.errors import InvalidInputError, InvalidValueError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Kind = Literal["smtp", "imap_pop"]
KINDS: Final[tuple[Kind, ...]] = ("smtp", "imap_pop")

MAX_BYTES: Final = 16 * 1024
MAX_DEPTH: Final = 8
MAX_CREDENTIAL_LENGTH: Final = 1024

Config = dict[str, Any]
Rules = dict[str, "Callable[[object], object] | Rules"]


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in (1, 0):
        return value == 1
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise InvalidValueError("type", "must be true or false")


def _credential(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValueError("type", "must be a string or null")
    if any(char in value for char in "\r\n\0"):
        raise InvalidValueError("invalid", "must not contain CR, LF or NUL")
    if len(value) > MAX_CREDENTIAL_LENGTH:
        raise InvalidValueError("too_long", f"must have at most {MAX_CREDENTIAL_LENGTH} characters")
    return value


def _one_of(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or value.lower() not in choices:
            raise InvalidValueError("invalid", f"must be one of {', '.join(choices)}")
        return value.lower()

    return parse


_TLS_OPTIONS: Final[Rules] = {"rejectUnauthorized": _boolean}

RULES: Final[Mapping[Kind, Rules]] = {
    "smtp": {
        "secure": _boolean,
        "ignoreTls": _boolean,
        "requireTls": _boolean,
        "auth": {"user": _credential, "pass": _credential},
        "tlsOptions": _TLS_OPTIONS,
    },
    "imap_pop": {
        "protocol": _one_of("imap", "pop3"),
        "user": _credential,
        "password": _credential,
        "tls": _boolean,
        "mailbox": _credential,
        "startTls": _one_of("never", "auto", "require"),
        "tlsOptions": _TLS_OPTIONS,
    },
}


def parse_config(kind: Kind, value: object) -> Config:
    """Return the config to store; null is an empty config.

    Raises InvalidInputError whose paths are relative to the config ("" is the config
    itself). Credentials in halves are judged by `check_credentials`, because a stored
    password may complete them.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInputError((Problem("", "type", "must be an object"),))
    _refuse_oversize(value)
    problems: list[Problem] = []
    config = _apply(RULES[kind], value, "", problems)
    problems += _contradictions(kind, config)
    if problems:
        raise InvalidInputError(tuple(problems))
    return config


def check_credentials(kind: Kind, config: Config) -> None:
    """Refuse half a login for IMAP and POP3 (contract Q-17).

    For SMTP the documented rule is another: half a login is no login.
    """
    if kind == "smtp":
        return
    user, password = bool(config.get("user")), bool(config.get("password"))
    if user and not password:
        raise InvalidInputError((Problem("password", "required", "is needed beside user"),))
    if password and not user:
        raise InvalidInputError((Problem("user", "required", "is needed beside password"),))


def _refuse_oversize(value: Config) -> None:
    if _depth(value) > MAX_DEPTH:
        message = f"must not be nested deeper than {MAX_DEPTH} levels"
        raise InvalidInputError((Problem("", "too_deep", message),))
    if len(orjson.dumps(value)) > MAX_BYTES:
        message = f"must have at most {MAX_BYTES} bytes as JSON"
        raise InvalidInputError((Problem("", "too_large", message),))


def _depth(value: object) -> int:
    """Return how many containers lie in each other; iterative, as callers nest at will."""
    deepest, todo = 0, [(value, 1)]
    while todo:
        item, level = todo.pop()
        if isinstance(item, dict | list):
            deepest = max(deepest, level)
            children = item.values() if isinstance(item, dict) else item
            todo.extend((child, level + 1) for child in children)
    return deepest


def _apply(rules: Rules, value: Config, prefix: str, problems: list[Problem]) -> Config:
    parsed: Config = {}
    for key, item in value.items():
        rule = rules.get(key)
        path = f"{prefix}{key}"
        if rule is None or item is None:
            parsed[key] = item
        elif isinstance(rule, dict):
            if isinstance(item, dict):
                parsed[key] = _apply(rule, item, f"{path}.", problems)
            else:
                problems.append(Problem(path, "type", "must be an object or null"))
        else:
            try:
                parsed[key] = rule(item)
            except InvalidValueError as error:
                problems.append(Problem(path, error.code, error.message))
    return parsed


def _contradictions(kind: Kind, config: Config) -> list[Problem]:
    if kind == "smtp" and config.get("ignoreTls") and config.get("requireTls"):
        return [Problem("ignoreTls", "contradiction", "must not be true together with requireTls")]
    if kind == "imap_pop" and config.get("tls") and config.get("startTls") in ("auto", "require"):
        return [Problem("startTls", "contradiction", "has no meaning together with tls: true")]
    return []
