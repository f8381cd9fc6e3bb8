"""What the documented config means for a probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from checker.loop.monitor_registry import MonitorRegistry, ScheduledMonitor
from checker.loop.target_builder import TargetCache, build_target
from domain.check import Category, Outcome, Verdict
from mail.protocols.target import Credentials, ProbeTarget
from store.ports.errors import STORE_UNAVAILABLE
from tests.checker.monitors import HERE
from tests.checker.virtual import new_monitor, no_secrets

if TYPE_CHECKING:
    from uuid import UUID

    from domain.kinds import Config, Kind
    from domain.monitor import Monitor
    from store.store import Store
    from tests.checker.monitors import Owner


def watched(**fields: Any) -> ScheduledMonitor:  # noqa: ANN401 - any field of the command
    monitor = new_monitor(**fields)
    registry = MonitorRegistry(HERE)
    for event in monitor.collect_events():
        registry.apply(event)
    kept = registry.find(monitor.id)
    assert kept is not None
    return kept


def target(**fields: Any) -> ProbeTarget:  # noqa: ANN401 - any field of the command
    monitor = watched(**fields)
    built = build_target(monitor, monitor.config)
    assert isinstance(built, ProbeTarget)
    return built


@pytest.mark.parametrize(
    ("config", "tls", "port"),
    [
        ({}, "auto", 25),
        ({"secure": False, "ignoreTls": False, "requireTls": False}, "auto", 25),
        ({"secure": True}, "implicit", 465),
        ({"secure": True, "ignoreTls": True}, "implicit", 465),
        ({"ignoreTls": True}, "never", 25),
        ({"requireTls": True}, "require", 25),
        ({"requireTls": True, "ignoreTls": True}, "require", 25),
    ],
)
def test_smtp_config(config: Config, tls: str, port: int) -> None:
    built = target(config=config)
    assert (built.protocol, built.tls, built.port) == ("smtp", tls, port)


@pytest.mark.parametrize(
    ("config", "protocol", "tls", "port"),
    [
        ({}, "imap", "never", 143),
        ({"protocol": "imap", "tls": True}, "imap", "implicit", 993),
        ({"protocol": "pop3"}, "pop3", "never", 110),
        ({"protocol": "pop3", "tls": True}, "pop3", "implicit", 995),
        ({"startTls": "auto"}, "imap", "auto", 143),
        ({"protocol": "pop3", "startTls": "require"}, "pop3", "require", 110),
        ({"startTls": "never"}, "imap", "never", 143),
        ({"protocol": "managesieve", "startTls": "require"}, "managesieve", "require", 4190),
    ],
)
def test_imap_pop_config(config: Config, protocol: str, tls: str, port: int) -> None:
    built = target(kind="imap_pop", config=config)
    assert (built.protocol, built.tls, built.port) == (protocol, tls, port)


@pytest.mark.parametrize(
    ("options", "verify"),
    [({}, True), ({"rejectUnauthorized": True}, True), ({"rejectUnauthorized": False}, False)],
)
def test_certificate_is_verified_unless_told_otherwise(options: Config, *, verify: bool) -> None:
    assert target(config={"tlsOptions": options}).verify_certificate is verify
    assert target(config={"tlsOptions": None}).verify_certificate is True


def test_name_and_versions_of_tls_are_kept_and_odd_ones_of_old_configs_are_not() -> None:
    asked = {"servername": "MX1.example.", "minVersion": "TLSv1.1", "maxVersion": "TLSv1.2"}
    built = target(config={"tlsOptions": asked})
    assert (built.server_name, built.oldest_tls, built.newest_tls) == (
        "mx1.example",
        "TLSv1.1",
        "TLSv1.2",
    )
    odd: Config = {"servername": 7, "minVersion": ["x"], "maxVersion": "TLSv9"}
    built = build_target(watched(), {"tlsOptions": odd})  # type: ignore[assignment] # asserted below
    assert isinstance(built, ProbeTarget)
    assert (built.server_name, built.oldest_tls, built.newest_tls) == (None, None, None)


def test_own_port_and_timeout_are_kept() -> None:
    built = target(port=2525, timeout_seconds=7.5, config={"secure": True})
    assert (built.port, built.timeout_seconds) == (2525, 7.5)


@pytest.mark.parametrize(
    "auth",
    [None, {}, {"user": "u"}, {"pass": "p"}, {"user": "", "pass": ""}, {"accessToken": "t"}],
)
def test_half_a_login_is_none(auth: Config | None) -> None:
    assert target(config={"auth": auth}).credentials is None


def test_login_and_mailbox() -> None:
    assert target(config={"auth": {"user": "u", "pass": "p"}}).credentials == Credentials("u", "p")
    config = {"user": "u", "password": "p", "mailbox": "Archive"}
    assert target(kind="imap_pop", config=config).credentials == Credentials("u", "p")
    assert target(kind="imap_pop", config=config).mailbox == "Archive"
    assert target(kind="imap_pop", config={"mailbox": "Archive"}).mailbox is None
    assert target(kind="imap_pop", config={**config, "mailbox": 7}).mailbox is None


def test_an_access_token_is_a_login() -> None:
    auth = {"user": "u", "accessToken": "t"}
    built = target(config={"auth": auth})
    assert built.credentials == Credentials("u", access_token="t")
    config = {"user": "u", "auth": {"accessToken": "t"}, "mailbox": "INBOX"}
    built = target(kind="imap_pop", config=config)
    assert (built.credentials, built.mailbox) == (Credentials("u", access_token="t"), "INBOX")


async def test_a_sealed_access_token_is_opened(store: Store, owner: Owner) -> None:
    monitor = owner.create(config={"auth": {"user": "u", "accessToken": "the token"}})

    built = await TargetCache(store.monitoring.unsealed).build_target(stored(store, monitor))

    assert isinstance(built, ProbeTarget)
    assert built.credentials == Credentials("u", access_token="the token")
    assert built.secrets == (b"the token",)
    assert "the token" not in repr(built)


def test_config_that_no_probe_can_work_with_is_an_outcome() -> None:
    monitor = watched(
        kind="imap_pop", config={"user": "u", "password": "secret", "mailbox": "a\r\nb"}
    )
    outcome = build_target(monitor, monitor.config)

    assert isinstance(outcome, Outcome)
    assert (outcome.verdict, outcome.category) == (Verdict.DOWN, Category.CONFIG_INVALID)
    assert "mailbox" in outcome.message
    assert "secret" not in outcome.message


def stored(store: Store, monitor: Monitor) -> ScheduledMonitor:
    registry = MonitorRegistry(HERE)
    for event in store.monitoring.events.get(monitor.id):
        registry.apply(event)
    kept = registry.find(monitor.id)
    assert kept is not None
    return kept


async def test_sealed_password_is_opened_once_for_each_version(store: Store, owner: Owner) -> None:
    calls: list[UUID] = []

    def unseal(monitor_id: UUID, kind: Kind, config: Config) -> Config:
        calls.append(monitor_id)
        return store.monitoring.unsealed(monitor_id, kind, config)

    targets = TargetCache(unseal)
    monitor = owner.create(config={"auth": {"user": "u", "pass": "first"}})
    version = stored(store, monitor)
    for _ in range(3):
        built = await targets.build_target(version)
        assert isinstance(built, ProbeTarget)
        assert built.credentials == Credentials("u", "first")
        assert "first" not in repr(built)
    assert len(calls) == 1

    owner.update(monitor, config={"auth": {"user": "u", "pass": "second"}})
    built = await targets.build_target(stored(store, monitor))
    assert isinstance(built, ProbeTarget)
    assert built.credentials == Credentials("u", "second")
    targets.forget(monitor.id)
    assert not targets._targets


async def test_destroyed_key_is_an_outcome_that_says_what_to_do(store: Store, owner: Owner) -> None:
    monitor = owner.create(kind="imap_pop", config={"user": "u", "password": "secret"})
    version = stored(store, monitor)
    store.keys.destroy(monitor.id)

    outcome = await TargetCache(store.monitoring.unsealed).build_target(version)

    assert isinstance(outcome, Outcome)
    assert (outcome.verdict, outcome.category) == (Verdict.DOWN, Category.SECRET_UNREADABLE)
    assert "set the password of this monitor again" in outcome.message


async def test_unavailable_key_store_is_read_again_until_it_answers() -> None:
    failures = [STORE_UNAVAILABLE[0]("database is locked"), STORE_UNAVAILABLE[2]("disk I/O error")]

    def unseal(monitor_id: UUID, kind: Kind, config: Config) -> Config:
        del monitor_id, kind
        if failures:
            raise failures.pop()
        return config

    monitor = watched(config={"auth": {"user": "u", "pass": "p"}})
    assert isinstance(await TargetCache(unseal).build_target(monitor), ProbeTarget)


async def test_monitor_without_a_login_needs_no_key() -> None:
    assert isinstance(await TargetCache(no_secrets).build_target(watched()), ProbeTarget)
