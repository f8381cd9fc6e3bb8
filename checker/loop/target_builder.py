"""From a monitor to what a probe is asked to do: the meaning of the documented config.

The defaults that a config does not spell out are here. Passwords are in clear in a
`ProbeTarget` only, which does not show them.

Aiming on the loop: opens sealed passwords in a thread, and remembers what was opened.

To open a secret costs a look into the key store, as much as a whole plain probe. So a
target with a password is kept for as long as its version of the monitor is the current
one; the process holds the key of all of them anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from checker.runtime.store_retry import StoreRetry
from domain.check import Category, Outcome, Verdict
from domain.errors import MasterKeyError, SecretUnreadableError
from domain.kinds import KINDS, Config, Kind
from domain.mail_config import read_secret, read_user
from mail.protocols import PROTOCOLS
from mail.protocols.target import ProbeTarget

if TYPE_CHECKING:
    from checker.loop.monitor_registry import ScheduledMonitor


Unseal = Callable[[UUID, Kind, Config], Config]
"""Returns a config with its secret in clear; raises SecretUnreadableError."""


def build_target(monitor: ScheduledMonitor, unseal: Unseal) -> ProbeTarget | Outcome:
    """Return what to probe, or the outcome when a probe cannot even begin."""
    config = monitor.config
    try:
        if has_login(monitor.kind, config):
            config = unseal(monitor.monitor_id, monitor.kind, config)
        return target_of(monitor, config)
    except (SecretUnreadableError, MasterKeyError):
        return _not_possible(
            Category.SECRET_UNREADABLE,
            "the stored password cannot be opened, so the server was not contacted; "
            "set the password of this monitor again",
        )
    except ValueError as error:
        # The text of a target's ValueError shows no secret.
        return _not_possible(
            Category.CONFIG_INVALID,
            f"the server was not contacted, because the monitor's config is not usable: {error}",
        )


def target_of(monitor: ScheduledMonitor, config: Config) -> ProbeTarget:
    """Return the target of a monitor whose config is in clear.

    Raises ValueError when no probe can work with it.
    """
    protocol, tls = KINDS[monitor.kind].connection(config)
    login = has_login(monitor.kind, config)
    return ProbeTarget(
        protocol=protocol,
        hostname=monitor.hostname,
        port=PROTOCOLS[protocol].default_port(tls) if monitor.port is None else monitor.port,
        tls=tls,
        timeout_seconds=monitor.timeout_seconds,
        verify_certificate=_verify_certificate(config),
        user=read_user(monitor.kind, config) if login else None,
        password=read_secret(monitor.kind, config) if login else None,
        mailbox=_mailbox(config) if login and PROTOCOLS[protocol].has_mailbox else None,
    )


def has_login(kind: Kind, config: Config) -> bool:
    """Return whether a login is tried: half a login is none."""
    return read_user(kind, config) is not None and read_secret(kind, config) is not None


def _verify_certificate(config: Config) -> bool:
    options: Any = config.get("tlsOptions")
    return not isinstance(options, dict) or options.get("rejectUnauthorized") is not False


def _mailbox(config: Config) -> str | None:
    mailbox: Any = config.get("mailbox")
    return mailbox if isinstance(mailbox, str) and mailbox else None


def _not_possible(category: Category, message: str) -> Outcome:
    return Outcome(Verdict.DOWN, category, None, message, timings_ms={})


THREADS: Final = 4


class TargetCache:
    """Turns monitors into targets."""

    def __init__(self, unseal: Unseal) -> None:
        self._unseal = unseal
        self._opened: dict[UUID, tuple[ScheduledMonitor, ProbeTarget]] = {}
        self._retry = StoreRetry("open stored passwords", threads=THREADS)

    async def build_target(self, monitor: ScheduledMonitor) -> ProbeTarget | Outcome:
        """Return the target of a monitor, or the outcome when it has none."""
        if not has_login(monitor.kind, monitor.config):
            return build_target(monitor, self._unseal)
        opened = self._opened.get(monitor.monitor_id)
        if opened is not None and opened[0] is monitor:
            return opened[1]
        target = await self._retry.run(lambda: build_target(monitor, self._unseal))
        if isinstance(target, ProbeTarget):
            self._opened[monitor.monitor_id] = (monitor, target)
        return target

    def forget(self, monitor_id: UUID) -> None:
        """Drop what was opened for a monitor that changed or is not checked any more."""
        self._opened.pop(monitor_id, None)
