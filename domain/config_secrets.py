"""The secrets in a monitor's config: where they are, and their masked and sealed forms.

Every key of a config, known or not, that is called like a secret holds one (contract Q-11).
A stored config holds it sealed: at the secret path of its kind as a bare sealed text, at any
other place as `{"sealed": text}`, the JSON of its value. Only what was stored before keys
outside the secret path were sealed is still in clear: it is masked like the others, and sealed
by the next change of its config.

The functions here know these places; they know no cryptography.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from unicodedata import category, normalize

import orjson

from domain.errors import InvalidInputError, Problem
from domain.kinds import KINDS, MASK, Config, KeyPath, Kind

Place = tuple[str | int, ...]
"""Where a value is in a config: keys of objects and indices of lists, from the top down."""

Replace = Callable[[Place, Any], object]

_ENDINGS: Final = tuple(
    word + plural
    for word in (
        *("pass", "password", "passwd", "passphrase", "passwort", "kennwort", "pwd"),
        *("secret", "token", "key", "credential", "bearer", "authorization", "cookie"),
    )
    for plural in ("", "s")
)
_NUMBERS: Final = "0123456789_-. "
_SEALED: Final = "sealed"
_ABSENT: Final = object()


def is_secret_name(key: str) -> bool:
    """Return whether a key is called like a secret: `token`, `apiKey`, `PASSWORD_2`.

    What looks the same counts the same: wide letters, and characters without a width.
    """
    if not key.isascii():
        plain = normalize("NFKC", key)
        key = "".join(each for each in plain if category(each) != "Cf")
    return key.lower().rstrip(_NUMBERS).endswith(_ENDINGS)


def read_user(kind: Kind, config: Config) -> str | None:
    """Return the user name of a config; None when there is none."""
    return _text(config, KINDS[kind].user_path)


def read_secret(kind: Kind, config: Config) -> str | None:
    """Return the password, in clear or sealed as the config holds it; None without one."""
    return _text(config, KINDS[kind].secret_path)


def read_token(kind: Kind, config: Config) -> str | None:
    """Return the access token of a config in clear; None without one."""
    return _text(config, KINDS[kind].token_path)


def has_login_secret(kind: Kind, config: Config) -> bool:
    """Return whether a config, in clear or sealed, holds a password or an access token."""
    places = KINDS[kind].secret_path, KINDS[kind].token_path
    return any(_is_hidden(_at(config, each)) for each in places)


def replace_secrets(config: Config, replace: Replace) -> Config:
    """Return a copy of a config in which each secret went through `replace`."""
    return _replaced_dict(config, (), replace)


def is_sealed(kind: Kind, place: Place, value: object) -> bool:
    """Return whether a stored config holds the secret at a place sealed."""
    if place == KINDS[kind].secret_path:
        return isinstance(value, str)
    return isinstance(value, dict) and value.keys() == {_SEALED}


def secrets_of(config: Config) -> Iterator[tuple[Place, Any]]:
    """Yield each secret with its place, as the config holds it."""
    found: list[tuple[Place, Any]] = []
    replace_secrets(config, lambda place, value: found.append((place, value)))
    yield from found


def mask_secrets(config: Config) -> Config:
    """Return a copy that may be shown to anyone who may see the monitor."""
    return replace_secrets(config, lambda _, __: MASK)


def echo_secrets(config: Config, sent: Config) -> Config:
    """Return a masked copy of a stored config that shows what a request sent in clear.

    `sent` is the config of that request, to be shown to its sender only (contract Q-2).
    """

    def replace(place: Place, _: object) -> object:
        value = _at(sent, place)
        return value if _is_value(value) else MASK

    return replace_secrets(config, replace)


def hide_clear_secrets(kind: Kind, config: Config) -> Config:
    """Return a stored config for a view: a secret that an old event holds in clear is masked."""

    def replace(place: Place, value: object) -> object:
        return value if is_sealed(kind, place, value) else MASK

    return replace_secrets(config, replace)


def unseal_secrets(kind: Kind, config: Config, unseal: Callable[[str], str]) -> Config:
    """Return a stored config with its secrets in clear."""

    def replace(place: Place, value: object) -> object:
        return unsealed_form(value, unseal) if is_sealed(kind, place, value) else value

    return replace_secrets(config, replace)


def keep_stored_secrets(
    kind: Kind, sent: Config, stored: Config
) -> tuple[Config, frozenset[Place]]:
    """Return the sent config, and the places at which it now has the stored secrets.

    A stored secret is kept when the mask was sent in its place. Password and access token are
    kept, too, when both were left out and the user stayed the same. Raises InvalidInputError
    when a mask was sent and nothing is stored in its place.
    """
    kept: dict[Place, Any] = {}
    problems: list[Problem] = []
    for place, value in secrets_of(sent):
        if value == MASK:
            kept[place] = _at(stored, place)
            if not _is_value(kept[place]):
                message = "is the mask of a stored secret, and no secret is stored"
                problems.append(Problem(dotted(place), "masked", message))
    if problems:
        raise InvalidInputError(tuple(problems))
    config = replace_secrets(sent, kept.get)
    for place in _left_out(kind, sent, stored):
        config = _with(config, place, _at(stored, place))
        kept[place] = None
    return config, frozenset(kept)


def sealed_form(kind: Kind, place: Place, value: object, seal: Callable[[str], str]) -> object:
    """Return the stored form of a secret."""
    if place == KINDS[kind].secret_path and isinstance(value, str):
        return seal(value)
    return {_SEALED: seal(orjson.dumps(value).decode())}


def unsealed_form(stored: Any, unseal: Callable[[str], str]) -> object:  # noqa: ANN401 - any JSON
    """Return the secret whose sealed form a config holds."""
    return unseal(stored) if isinstance(stored, str) else orjson.loads(unseal(stored[_SEALED]))


def stored_secret(config: Config, place: Place) -> object:
    """Return what a stored config holds at a place; None when that is nothing."""
    value = _at(config, place)
    return value if _is_value(value) else None


def dotted(place: Place) -> str:
    """Return a place as errors and the audit log write it."""
    return ".".join(map(str, place))


def _left_out(kind: Kind, sent: Config, stored: Config) -> Iterator[KeyPath]:
    """Yield where to keep the login of a config that names the same user and no secret."""
    places = KINDS[kind].secret_path, KINDS[kind].token_path
    user = read_user(kind, sent)
    if user is None or user != read_user(kind, stored):
        return
    if any(_at(sent, place) is not _ABSENT for place in places):
        return
    for place in places:
        # A holder that was sent as null is gone, with what it held.
        holder = _at(sent, place[:-1])
        if _is_value(_at(stored, place)) and (holder is _ABSENT or isinstance(holder, dict)):
            yield place


def _is_hidden(value: object) -> bool:
    """Return whether an answer masks the value of a secret key: not null, true, false and ""."""
    return value is not _ABSENT and not isinstance(value, bool | None) and value != ""


def _is_value(value: object) -> bool:
    """Return whether a value is a secret itself, and not its mask."""
    return _is_hidden(value) and value != MASK


def _replaced_dict(value: dict[str, Any], place: Place, replace: Replace) -> dict[str, Any]:
    return {
        key: replace((*place, key), item)
        if is_secret_name(key) and _is_hidden(item)
        else _replaced(item, (*place, key), replace)
        for key, item in value.items()
    }


def _replaced(value: object, place: Place, replace: Replace) -> object:
    if isinstance(value, dict):
        return _replaced_dict(value, place, replace)
    if isinstance(value, list):
        return [_replaced(item, (*place, at), replace) for at, item in enumerate(value)]
    return value


def _at(config: Config, place: Place) -> Any:  # noqa: ANN401 - any JSON
    """Return the value at a place, or _ABSENT."""
    value: Any = config
    for key in place:
        if isinstance(value, dict):
            value = value.get(key, _ABSENT) if isinstance(key, str) else _ABSENT
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return _ABSENT
    return value


def _text(config: Config, path: KeyPath) -> str | None:
    value = _at(config, path)
    return value if isinstance(value, str) and value else None


def _with(config: Config, path: KeyPath, value: object) -> Config:
    if len(path) == 1:
        return {**config, path[0]: value}
    return {**config, path[0]: _with(config.get(path[0], {}), path[1:], value)}
