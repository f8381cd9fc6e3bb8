"""The config object of a monitor: checked and coerced by the table of kinds.

Known keys are checked and coerced, unknown keys are kept as sent, unless they look like a known
one: then they are refused (contract Q-11). The order of keys is kept, so that an answer looks
like the request. Defaults are not written into the stored object: they are the checker's rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import orjson

from domain.config_secrets import dotted, has_login_secret, read_user
from domain.errors import InvalidInputError, InvalidValueError, Problem
from domain.kinds import KINDS
from domain.suggestions import likely_name, plain
from domain.values import is_same

if TYPE_CHECKING:
    from domain.kinds import Config, ConfigFields, KeyPath, Kind, MonitorKind


MAX_BYTES: Final = 16 * 1024
MAX_DEPTH: Final = 8

_LIKENESS: Final = 0.85
"""How like a known key an unknown one is refused: unknown keys are no mistake by themselves."""

_MIN_LENGTH: Final = 6
"""Shorter keys are refused only when they differ from a known one in case or place."""


def parse_config(kind: Kind, value: object, shown: Config | None = None) -> Config:
    """Return the config to store; null is an empty config.

    `shown` is what an answer shows of the stored config: whatever is sent back as it was shown
    is accepted, although it was stored when the rules were others.

    Raises InvalidInputError whose paths are relative to the config ("" is the config
    itself). A login with only a user or only a password is left to `check_credentials`, because
    a stored password may complete it.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInputError((Problem("", "type", "must be an object"),))
    _refuse_oversize(value)
    parser = _Parser(KINDS[kind])
    config = parser.parse(value, shown or {})
    contradiction = KINDS[kind].contradiction(config)
    if contradiction is not None:
        parser.problems.append(Problem(contradiction.key, "contradiction", contradiction.message))
    if parser.problems:
        raise InvalidInputError(tuple(parser.problems))
    return config


def check_credentials(kind: Kind, config: Config) -> None:
    """Refuse half a login where a kind needs a whole one (contract Q-17)."""
    monitor_kind = KINDS[kind]
    user, has_secret = read_user(kind, config), has_login_secret(kind, config)
    if not monitor_kind.needs_whole_login or (user is not None) == has_secret:
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


class _Parser:
    """Reads one config, and collects every problem with its path."""

    def __init__(self, kind: MonitorKind) -> None:
        self.problems: list[Problem] = []
        self._kind = kind

    def parse(self, value: Config, shown: Config) -> Config:
        """Return the config in its normal form, as far as it has one."""
        return self._parse_object(self._kind.config, value, (), shown)

    def _parse_object(
        self, fields: ConfigFields, value: Config, above: KeyPath, shown: object
    ) -> Config:
        known = shown if isinstance(shown, dict) else {}
        parsed: Config = {}
        for key, item in value.items():
            field, path = fields.get(key), (*above, key)
            if key in known and is_same(item, known[key]):
                parsed[key] = item
            elif field is None:
                self._refuse_look_alike(fields, path)
                parsed[key] = item
            elif item is None:
                parsed[key] = None
            elif not isinstance(field, Mapping):
                try:
                    parsed[key] = field.parse(item)
                except InvalidValueError as error:
                    self._add(path, error.code, error.message)
            elif isinstance(item, dict):
                parsed[key] = self._parse_object(field, item, path, known.get(key))
            else:
                self._add(path, "type", "must be an object or null")
        return parsed

    def _refuse_look_alike(self, fields: ConfigFields, path: KeyPath) -> None:
        meant = _meant(self._kind, fields, path)
        if meant is not None:
            self._add(path, "unknown", f"is not a known key; did you mean {meant}?")

    def _add(self, path: KeyPath, code: str, message: str) -> None:
        self.problems.append(Problem(dotted(path), code, message))


def _meant(kind: MonitorKind, fields: ConfigFields, path: KeyPath) -> str | None:
    """Return the known key that an unknown one looks like; None when it looks like none."""
    alike = kind.look_alikes.get(".".join(map(plain, path)))
    if alike is not None:
        return alike
    above, key = path[:-1], path[-1]
    known = [*((*above, each) for each in fields), *_leaf_paths(kind.config)]
    same = next((each for each in known if plain(each[-1]) == plain(key)), None)
    if same is not None:
        return dotted(same)
    if len(key) < _MIN_LENGTH:
        return None
    likely = likely_name(key, fields, likeness=_LIKENESS)
    return None if likely is None else dotted((*above, likely))


def _leaf_paths(fields: ConfigFields, above: KeyPath = ()) -> Iterator[KeyPath]:
    for key, field in fields.items():
        if isinstance(field, Mapping):
            yield from _leaf_paths(field, (*above, key))
        else:
            yield (*above, key)
