"""The secrets in the configs of monitors: sealed before an event is made, opened for a check."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from domain.config_secrets import (
    is_sealed,
    keep_stored_secrets,
    replace_secrets,
    sealed_form,
    stored_secret,
    unseal_secrets,
    unsealed_form,
)
from domain.errors import KeyStoreUnavailableError, SecretUnreadableError
from domain.mail_config import check_credentials
from domain.values import is_same

if TYPE_CHECKING:
    from uuid import UUID

    from domain.config_secrets import Place
    from domain.kinds import Config, Kind
    from domain.monitor import Monitor


log = logging.getLogger("postwatch.monitoring")


class SecretVault(Protocol):
    """Seals secrets with a key of their owner, and destroys that key."""

    def seal(self, owner: UUID, secret: str) -> str:
        """Return the sealed secret."""

    def unseal(self, owner: UUID, sealed: str) -> str:
        """Return the secret. Raises SecretUnreadableError when its key was destroyed."""

    def destroy(self, owner: UUID) -> None:
        """Make every secret of the owner unreadable for ever.

        Raises KeyStoreUnavailableError when the key is still there.
        """

    def digest(self, data: bytes) -> str:
        """Return a keyed digest, the same for the same data."""


class SealedConfigs:
    """Seals and opens the secrets of a config with the data key of its monitor."""

    def __init__(self, vault: SecretVault) -> None:
        self._vault = vault
        self._to_destroy: set[UUID] = set()

    def seal_new(self, kind: Kind, sent: Config, monitor_id: UUID) -> Config:
        """Return the config of a new monitor, sealed. Raises InvalidInputError on a mask."""
        config, _ = keep_stored_secrets(kind, sent, {})
        return replace_secrets(
            config, lambda place, value: self._sealed(kind, place, value, monitor_id)
        )

    def seal_changed(self, monitor: Monitor, sent: Config) -> Config:
        """Return the config that replaces the stored one, sealed.

        A secret that is sent as its mask, left out beside the same user or sent unchanged keeps
        its stored form, so that an update without a change records nothing. Raises
        InvalidInputError on half a login.
        """
        kind, stored = monitor.kind, monitor.config
        config, kept = keep_stored_secrets(kind, sent, stored)
        check_credentials(kind, config)

        def seal_sent(place: Place, value: object) -> object:
            before = stored_secret(stored, place)
            if place in kept or self._is_secret(kind, place, value, before, monitor.id):
                return before
            return self._sealed(kind, place, value, monitor.id)

        def seal_clear(place: Place, value: object) -> object:
            if is_sealed(kind, place, value):
                return value
            return self._sealed(kind, place, value, monitor.id)

        merged = replace_secrets(config, seal_sent)
        return stored if is_same(merged, stored) else replace_secrets(merged, seal_clear)

    def unsealed(self, monitor_id: UUID, kind: Kind, config: Config) -> Config:
        """Return a stored config with its secrets in clear.

        Raises SecretUnreadableError when the key was destroyed.
        """
        return unseal_secrets(kind, config, lambda sealed: self._vault.unseal(monitor_id, sealed))

    def destroy_key(self, monitor_id: UUID) -> None:
        """Destroy the data key of a monitor that is deleted in the log.

        While the key store accepts no change, the key stays; the next deletion destroys it, or
        the projections process when it starts.
        """
        self._to_destroy.add(monitor_id)
        for each in self._to_destroy.copy():
            try:
                self._vault.destroy(each)
            except KeyStoreUnavailableError as error:
                log.warning(
                    "the data key of the deleted monitor %s is not destroyed yet: %s", each, error
                )
                return
            self._to_destroy.discard(each)

    def _sealed(self, kind: Kind, place: Place, value: object, owner: UUID) -> object:
        return sealed_form(kind, place, value, lambda secret: self._vault.seal(owner, secret))

    def _is_secret(
        self, kind: Kind, place: Place, value: object, stored: object, owner: UUID
    ) -> bool:
        """Return whether a stored secret has a value; never when it is lost, so it is replaced."""
        if stored is None:
            return False
        try:
            if is_sealed(kind, place, stored):
                stored = unsealed_form(stored, lambda text: self._vault.unseal(owner, text))
        except SecretUnreadableError:
            return False
        return is_same(value, stored)
