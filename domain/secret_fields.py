"""Which field of a config is a secret, and what becomes of it (contract Q-2, Q-3).

A stored config holds a sealed text in the place of the secret. These functions know
places, not cryptography.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from domain.errors import InvalidInputError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.mail_config import Config, Kind

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
