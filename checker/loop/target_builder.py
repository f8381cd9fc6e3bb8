"""Builds the target of a probe from a monitor: the meaning of the documented config.

The defaults for what a config leaves out are here. Passwords are in clear in a `ProbeTarget`
only, which does not show them.

To open a sealed password takes a read of the key store, which costs as much as a plain
probe. So `TargetCache` opens it in a thread, and keeps a target with a password as long as
its version of the monitor is the current one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from checker.runtime.store_retry import StoreRetry
from domain.check import Category, Outcome, Verdict
from domain.config_secrets import has_login_secret, read_secret, read_token, read_user
from domain.errors import InvalidValueError, MasterKeyError, SecretUnreadableError
from domain.kinds import KINDS, TLS_VERSIONS, Config, Kind, ServerName
from mail.protocols import PROTOCOLS
from mail.protocols.target import ProbeTarget

if TYPE_CHECKING:
    from checker.loop.monitor_registry import ScheduledMonitor


Unseal = Callable[[UUID, Kind, Config], Config]
"""Returns a config with its secret in clear. Raises SecretUnreadableError."""

THREADS: Final = 4
"""How many passwords are opened at a time."""


def build_target(monitor: ScheduledMonitor, config: Config) -> ProbeTarget | Outcome:
    """Return the target of a monitor whose config is in clear.

    Returns an outcome instead when no probe can work with that config.
    """
    protocol, tls = KINDS[monitor.kind].connection_settings(config)
    user = read_user(monitor.kind, config)
    password, token = read_secret(monitor.kind, config), read_token(monitor.kind, config)
    if user is None or (password is None and token is None):
        # Half a login is none.
        user = password = token = None
    has_mailbox = user is not None and PROTOCOLS[protocol].has_mailbox
    try:
        return ProbeTarget(
            protocol=protocol,
            hostname=monitor.hostname,
            port=PROTOCOLS[protocol].default_port(tls) if monitor.port is None else monitor.port,
            tls=tls,
            timeout_seconds=monitor.timeout_seconds,
            **_tls_options(config),
            user=user,
            password=password,
            access_token=token,
            mailbox=_mailbox(config) if has_mailbox else None,
        )
    except ValueError as error:
        # The text of a target's ValueError shows no secret.
        return _not_possible(
            Category.CONFIG_INVALID,
            f"the server was not contacted, because the monitor's config is not usable: {error}",
        )


def _has_login(kind: Kind, config: Config) -> bool:
    """Return whether a config, in clear or sealed, has a whole login."""
    return read_user(kind, config) is not None and has_login_secret(kind, config)


def _tls_options(config: Config) -> dict[str, Any]:
    """Return what `tlsOptions` asks for.

    Configs of the time before a key was known may hold anything there; that asks for nothing.
    """
    options = config.get("tlsOptions")
    if not isinstance(options, dict):
        return {}
    oldest, newest = (
        found if (found := options.get(key)) in TLS_VERSIONS else None
        for key in ("minVersion", "maxVersion")
    )
    return {
        "verify_certificate": options.get("rejectUnauthorized") is not False,
        "server_name": _server_name(options.get("servername")),
        "oldest_tls": oldest,
        "newest_tls": newest,
    }


def _server_name(value: object) -> str | None:
    try:
        return ServerName("").parse(value)
    except InvalidValueError:
        return None


def _mailbox(config: Config) -> str | None:
    mailbox = config.get("mailbox")
    return mailbox if isinstance(mailbox, str) and mailbox else None


def _not_possible(category: Category, message: str) -> Outcome:
    return Outcome(Verdict.DOWN, category, None, message, timings_ms={})


class TargetCache:
    """Builds the targets of monitors, and keeps those that have a password."""

    def __init__(self, unseal: Unseal) -> None:
        self._unseal = unseal
        self._targets: dict[UUID, tuple[ScheduledMonitor, ProbeTarget]] = {}
        self._retry = StoreRetry("open stored passwords", threads=THREADS)

    async def build_target(self, monitor: ScheduledMonitor) -> ProbeTarget | Outcome:
        """Return the target of a monitor, or the outcome when no probe is possible."""
        cached = self._targets.get(monitor.monitor_id)
        if cached is not None and cached[0] is monitor:
            return cached[1]
        config = monitor.config
        if not _has_login(monitor.kind, config):
            return build_target(monitor, config)
        target = await self._retry.run(lambda: self._open(monitor, config))
        if isinstance(target, ProbeTarget):
            self._targets[monitor.monitor_id] = (monitor, target)
        return target

    def forget(self, monitor_id: UUID) -> None:
        """Drop the target of a monitor that changed or is not checked any more."""
        self._targets.pop(monitor_id, None)

    def _open(self, monitor: ScheduledMonitor, sealed: Config) -> ProbeTarget | Outcome:
        """Return the target with the password in clear. Reads the key store."""
        try:
            config = self._unseal(monitor.monitor_id, monitor.kind, sealed)
        except (SecretUnreadableError, MasterKeyError):
            return _not_possible(
                Category.SECRET_UNREADABLE,
                "the stored password cannot be opened, so the server was not contacted; "
                "set the password of this monitor again",
            )
        return build_target(monitor, config)
