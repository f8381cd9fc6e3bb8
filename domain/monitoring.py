"""The `monitoring` log: every command that changes what is watched, and by whom.

This is the audit log. It holds small streams of people's changes and is kept for ever.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from domain import mail_config, secret_fields
from domain.clock import Clock, utc_now
from domain.errors import NotFoundError, SecretUnreadableError, StaleVersionError
from domain.monitor import Monitor
from domain.ownership import Ownership
from domain.repeats import RepeatKey
from domain.storage.failures import STORE_AWAY

if TYPE_CHECKING:
    from eventsourcing.utils import EnvType

    from domain.actor import Actor
    from domain.commands import CreateMonitor, UpdateMonitor
    from domain.keys import KeyRing
    from domain.mail_config import Config, Kind


log = logging.getLogger("postwatch.monitoring")


class Monitoring(Ownership):
    """All commands. Each returns when its events are on disk, or raises and stored nothing."""

    name = "monitoring"

    def __init__(self, keys: KeyRing, env: EnvType | None = None, clock: Clock = utc_now) -> None:
        super().__init__(env, clock)
        self._keys = keys
        self._owed: set[UUID] = set()

    def repeat_key(self, scope: str, key: str, request: bytes) -> RepeatKey:
        """Return the key under which a client may send a request again without harm.

        `scope` is who sends it; the request itself is kept as a keyed digest only.
        """
        return RepeatKey(scope, key, self._keys.digest(request))

    def create_monitor(
        self, command: CreateMonitor, actor: Actor, *, repeat: RepeatKey | None = None
    ) -> Monitor:
        """Start to watch a mail server. Raises InvalidInputError on half a login."""
        sent, _ = secret_fields.keep_stored_secret(command.kind, command.config, {})
        mail_config.check_credentials(command.kind, sent)
        monitor_id = uuid4()
        config = self._seal(command.kind, sent, monitor_id)
        return self.save_numbered(
            command.kind,
            lambda number: Monitor.create(
                number,
                command,
                monitor_id=monitor_id,
                config=config,
                actor=actor,
                now=self.clock(),
            ),
            actor,
            repeat=repeat,
        )

    def created(self, monitor_id: UUID) -> Monitor.Created:
        """Return the event that created a monitor."""
        return self.created_by(Monitor.Created, monitor_id, "Monitor not found")

    def update_monitor(self, command: UpdateMonitor, actor: Actor) -> Monitor:
        """Change a monitor; an update without a change records nothing.

        A race with another update is decided again on the newer state.
        """

        def attempt() -> Monitor:
            monitor = self._load_monitor(command.monitor_id, command.expected_version)
            changes = dict(command.changes)
            if "config" in changes:
                changes["config"] = self._config_for(monitor, changes["config"])
            if monitor.update(changes, actor=actor, now=self.clock()):
                self.save(monitor)
            return monitor

        return self.retry(attempt)

    def delete_monitor(
        self, monitor_id: UUID, actor: Actor, *, expected_version: int | None = None
    ) -> None:
        """Stop to watch a server and destroy its secret; the history stays."""

        def attempt() -> None:
            monitor = self._load_monitor(monitor_id, expected_version)
            monitor.delete(actor=actor, now=self.clock())
            self.save(monitor)

        try:
            self.retry(attempt)
        except NotFoundError:
            # Perhaps deleted before, with an answer that got lost: then the key is still there.
            if monitor_id in self.repository:
                self._owe(monitor_id)
            raise
        self._owe(monitor_id)

    def _owe(self, monitor_id: UUID) -> None:
        self._owed.add(monitor_id)
        self._destroy_owed()

    def _destroy_owed(self) -> None:
        """Destroy the data keys of monitors that are deleted in the log.

        The deletion is acknowledged also when the key file takes nothing now: the key goes
        with the next deletion, or when `projections run` starts, whichever comes first.
        """
        for monitor_id in self._owed.copy():
            try:
                self._keys.destroy(monitor_id)
            except STORE_AWAY as error:
                log.warning(
                    "the data key of the deleted monitor %s is not destroyed yet: %s",
                    monitor_id,
                    type(error).__name__,
                )
                return
            self._owed.discard(monitor_id)

    def unsealed(self, monitor_id: UUID, kind: Kind, config: Config) -> Config:
        """Return a stored config with its secret in clear, for the checker and for writers.

        Raises SecretUnreadableError when the key is gone.
        """
        return secret_fields.replace_secret(
            kind, config, lambda sealed: self._keys.unseal(monitor_id, sealed)
        )

    def _config_for(self, monitor: Monitor, sent: Config) -> Config:
        """Return the config to store: the sent one, or with the stored secret kept."""
        kind, stored = monitor.kind, monitor.fields["config"]
        config, kept = secret_fields.keep_stored_secret(kind, sent, stored)
        mail_config.check_credentials(kind, config)
        sealed = secret_fields.read_secret(kind, stored)
        if kept or sealed is None:
            return config if kept else self._seal(kind, config, monitor.id)
        if secret_fields.read_secret(kind, config) == self._unseal_or_none(monitor.id, sealed):
            return secret_fields.replace_secret(kind, config, lambda _: sealed)
        return self._seal(kind, config, monitor.id)

    def _unseal_or_none(self, owner: UUID, sealed: str) -> str | None:
        """Return a stored secret; None when it is lost, so that a new one can replace it."""
        try:
            return self._keys.unseal(owner, sealed)
        except SecretUnreadableError:
            return None

    def _seal(self, kind: Kind, config: Config, owner: UUID) -> Config:
        return secret_fields.replace_secret(
            kind, config, lambda secret: self._keys.seal(owner, secret)
        )

    def _load_monitor(self, monitor_id: UUID, expected_version: int | None) -> Monitor:
        monitor = self.load(Monitor, monitor_id, "Monitor not found")
        if monitor.deleted:
            raise NotFoundError("Monitor not found")
        if expected_version is not None and monitor.version != expected_version:
            raise StaleVersionError("The monitor was changed meanwhile; read it again")
        return monitor
