"""The config object of a monitor: checked, sealed and masked by the table of kinds.

Known keys are checked and coerced, unknown keys are kept as sent (contract Q-11). The order
of keys is kept, so that an answer looks like the request. Defaults are not written into the
stored object: they are the checker's rule.

A stored config holds a sealed text in the place of its secret (contract Q-2, Q-3). The
functions here know where that place is; they know no cryptography.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from domain.errors import InvalidInputError, InvalidValueError, Problem
from domain.kinds import KINDS, MASK

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.kinds import Config, ConfigFields, KeyPath, Kind


MAX_BYTES: Final = 16 * 1024
MAX_DEPTH: Final = 8


def parse_config(kind: Kind, value: object) -> Config:
    """Return the config to store; null is an empty config.

    Raises InvalidInputError whose paths are relative to the config ("" is the config
    itself). A login with only a user or only a password is left to `check_credentials`, because
    a stored password may complete it.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInputError((Problem("", "type", "must be an object"),))
    _refuse_oversize(value)
    problems: list[Problem] = []
    config = _parse_fields(KINDS[kind].config, value, "", problems)
    contradiction = KINDS[kind].contradiction(config)
    if contradiction is not None:
        problems.append(Problem(contradiction.key, "contradiction", contradiction.message))
    if problems:
        raise InvalidInputError(tuple(problems))
    return config


def check_credentials(kind: Kind, config: Config) -> None:
    """Refuse half a login where a kind needs a whole one (contract Q-17)."""
    monitor_kind = KINDS[kind]
    user, secret = read_user(kind, config), read_secret(kind, config)
    if not monitor_kind.needs_whole_login or (user is None) == (secret is None):
        return
    given, missing = monitor_kind.user_path, monitor_kind.secret_path
    if user is None:
        given, missing = missing, given
    problem = Problem(".".join(missing), "required", f"is needed beside {given[-1]}")
    raise InvalidInputError((problem,))


def _refuse_oversize(value: Config) -> None:
    if _depth(value) > MAX_DEPTH:
        message = f"must not be nested deeper than {MAX_DEPTH} levels"
        raise InvalidInputError((Problem("", "too_deep", message),))
    if len(orjson.dumps(value)) > MAX_BYTES:
        message = f"must have at most {MAX_BYTES} bytes as JSON"
        raise InvalidInputError((Problem("", "too_large", message),))


def _depth(value: object) -> int:
    """Return the depth of nested containers; iterative, because a request may nest deeply."""
    deepest, todo = 0, [(value, 1)]
    while todo:
        item, level = todo.pop()
        if isinstance(item, dict | list):
            deepest = max(deepest, level)
            children = item.values() if isinstance(item, dict) else item
            todo.extend((child, level + 1) for child in children)
    return deepest


def _parse_fields(
    fields: ConfigFields, value: Config, prefix: str, problems: list[Problem]
) -> Config:
    parsed: Config = {}
    for key, item in value.items():
        field = fields.get(key)
        path = f"{prefix}{key}"
        if field is None or item is None:
            parsed[key] = item
        elif isinstance(field, Mapping):
            if isinstance(item, dict):
                parsed[key] = _parse_fields(field, item, f"{path}.", problems)
            else:
                problems.append(Problem(path, "type", "must be an object or null"))
        else:
            try:
                parsed[key] = field.parse(item)
            except InvalidValueError as error:
                problems.append(Problem(path, error.code, error.message))
    return parsed


def read_secret(kind: Kind, config: Config) -> str | None:
    """Return the secret, in clear or sealed as the config holds it; None without a secret."""
    return _read(config, KINDS[kind].secret_path) or None


def read_user(kind: Kind, config: Config) -> str | None:
    """Return the user name of a config; None when there is none."""
    return _read(config, KINDS[kind].user_path) or None


def replace_secret(kind: Kind, config: Config, replace: Callable[[str], str]) -> Config:
    """Return a copy whose secret, if there is one, went through `replace`."""
    secret = read_secret(kind, config)
    if secret is None:
        return config
    return _with(config, KINDS[kind].secret_path, replace(secret))


def mask_secret(kind: Kind, config: Config) -> Config:
    """Return a copy that may be shown to anyone who may see the monitor."""
    return replace_secret(kind, config, lambda _: MASK)


def keep_stored_secret(kind: Kind, sent: Config, stored: Config) -> tuple[Config, bool]:
    """Return the sent config, and whether its secret is the stored (sealed) one.

    The stored secret is kept when the mask was sent in its place, or when the secret was
    left out while the user stayed the same. Raises InvalidInputError when the mask was
    sent and nothing is stored.
    """
    path = KINDS[kind].secret_path
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


def _has(config: Config, path: KeyPath) -> bool:
    holder = _holder(config, path)
    return holder is not None and path[-1] in holder


def _read(config: Config, path: KeyPath) -> str | None:
    holder = _holder(config, path)
    value = holder.get(path[-1]) if holder is not None else None
    return value if isinstance(value, str) else None


def _holder(config: Config, path: KeyPath) -> dict[str, Any] | None:
    holder: Any = config
    for key in path[:-1]:
        holder = holder.get(key)
        if not isinstance(holder, dict):
            return None
    return holder if isinstance(holder, dict) else None


def _with(config: Config, path: KeyPath, value: str) -> Config:
    if len(path) == 1:
        return {**config, path[0]: value}
    return {**config, path[0]: _with(config[path[0]], path[1:], value)}
