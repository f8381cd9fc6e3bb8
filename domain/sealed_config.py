"""The secrets in the configs of monitors: sealed before an event is made, opened for a check."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from domain.errors import KeyStoreUnavailableError, SecretUnreadableError
from domain.mail_config import (
    check_credentials,
    keep_stored_secret,
    read_secret,
    replace_secret,
)

if TYPE_CHECKING:
    from uuid import UUID

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
    """Seals and opens the secret of a config with the data key of its monitor."""

    def __init__(self, vault: SecretVault) -> None:
        self._vault = vault
        self._to_destroy: set[UUID] = set()

    def seal_new(self, kind: Kind, sent: Config, monitor_id: UUID) -> Config:
        """Return the config of a new monitor, sealed. Raises InvalidInputError on a mask."""
        config, _ = keep_stored_secret(kind, sent, {})
        return self._seal(kind, config, monitor_id)

    def seal_changed(self, monitor: Monitor, sent: Config) -> Config:
        """Return the config that replaces the stored one, sealed.

        A secret that is sent as its mask, left out beside the same user or sent unchanged keeps
        its sealed text, so that an update without a change records nothing. Raises
        InvalidInputError on half a login.
        """
        kind, stored = monitor.kind, monitor.config
        config, is_kept = keep_stored_secret(kind, sent, stored)
        check_credentials(kind, config)
        if is_kept:
            return config
        sealed = read_secret(kind, stored)
        if sealed is not None and read_secret(kind, config) == self._unseal(monitor.id, sealed):
            return replace_secret(kind, config, lambda _: sealed)
        return self._seal(kind, config, monitor.id)

    def unsealed(self, monitor_id: UUID, kind: Kind, config: Config) -> Config:
        """Return a stored config with its secret in clear.

        Raises SecretUnreadableError when the key was destroyed.
        """
        return replace_secret(kind, config, lambda sealed: self._vault.unseal(monitor_id, sealed))

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

    def _seal(self, kind: Kind, config: Config, owner: UUID) -> Config:
        return replace_secret(kind, config, lambda secret: self._vault.seal(owner, secret))

    def _unseal(self, owner: UUID, sealed: str) -> str | None:
        """Return a stored secret; None when it is lost, so that a new one can replace it."""
        try:
            return self._vault.unseal(owner, sealed)
        except SecretUnreadableError:
            return None
