"""The config object of a monitor: `smtpConfig` and `imapPopConfig` as documented.

Known keys are checked and coerced, unknown keys are kept as sent (contract Q-11). The
order of keys stays, so that an answer looks like the request. Defaults are not written
into the stored object: they are the checker's rule.

Which field of a config is a secret, and what becomes of it (contract Q-2, Q-3).

A stored config holds a sealed text in the place of the secret. These functions know
places, not cryptography.
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


MASK: Final = "********"
"""Stands for a stored secret in everything that is read; sent back it keeps the secret."""

SECRET_PATHS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "smtp": ("auth", "pass"),
    "imap_pop": ("password",),
}
USER_PATHS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "smtp": ("auth", "user"),
    "imap_pop": ("user",),
}


def read_secret(kind: Kind, config: Config) -> str | None:
    """Return what stands in the secret's place; None when there is no secret."""
    return _read(config, SECRET_PATHS[kind]) or None


def read_user(kind: Kind, config: Config) -> str | None:
    """Return the user name of a config; None when there is none."""
    return _read(config, USER_PATHS[kind]) or None


def replace_secret(kind: Kind, config: Config, replace: Callable[[str], str]) -> Config:
    """Return a copy whose secret, if there is one, went through `replace`."""
    secret = read_secret(kind, config)
    if secret is None:
        return config
    return _with(config, SECRET_PATHS[kind], replace(secret))


def mask_secret(kind: Kind, config: Config) -> Config:
    """Return a copy that may be shown to anyone who may see the monitor."""
    return replace_secret(kind, config, lambda _: MASK)


def keep_stored_secret(kind: Kind, sent: Config, stored: Config) -> tuple[Config, bool]:
    """Return the sent config, and whether its secret is the stored (sealed) one.

    The stored secret is kept when the mask was sent in its place, or when the secret was
    left out while the user stayed the same. Raises InvalidInputError when the mask was
    sent and nothing is stored.
    """
    path = SECRET_PATHS[kind]
    sealed = read_secret(kind, stored)
    if _read(sent, path) == MASK:
        if sealed is None:
            message = "is the mask of a stored secret, and no secret is stored"
            raise InvalidInputError((Problem(".".join(path), "masked", message),))
        return _with(sent, path, sealed), True
    user = read_user(kind, sent)
    if sealed and user and not _has(sent, path) and user == read_user(kind, stored):
        return _with(sent, path, sealed), True
    return sent, False


def _has(config: Config, path: tuple[str, ...]) -> bool:
    holder = _holder(config, path)
    return holder is not None and path[-1] in holder


def _read(config: Config, path: tuple[str, ...]) -> str | None:
    holder = _holder(config, path)
    value = holder.get(path[-1]) if holder is not None else None
    return value if isinstance(value, str) else None


def _holder(config: Config, path: tuple[str, ...]) -> dict[str, Any] | None:
    holder: Any = config
    for key in path[:-1]:
        holder = holder.get(key)
        if not isinstance(holder, dict):
            return None
    return holder if isinstance(holder, dict) else None


def _with(config: Config, path: tuple[str, ...], value: str) -> Config:
    if len(path) == 1:
        return {**config, path[0]: value}
    return {**config, path[0]: _with(config[path[0]], path[1:], value)}
