"""Secrets of configs: sealed once, kept while unchanged, destroyed with the monitor."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from domain.errors import InvalidInputError, KeyStoreUnavailableError, SecretUnreadableError
from domain.kinds import MASK
from domain.monitor import Monitor
from domain.sealed_config import SealedConfigs
from tests.domain.given import CREATE_IMAP, MONITOR_ID, NOON, TESTER

if TYPE_CHECKING:
    from domain.kinds import Config


class FakeVault:
    """Seals by counting; its keys can be lost, and it can be unavailable."""

    def __init__(self) -> None:
        self.sealed = 0
        self.owners: set[UUID] = set()
        self.is_available = True
        self.destroyed: set[UUID] = set()

    def seal(self, owner: UUID, secret: str) -> str:
        self.sealed += 1
        self.owners.add(owner)
        return f"sealed {self.sealed}:{secret}"

    def unseal(self, owner: UUID, sealed: str) -> str:
        if owner in self.destroyed:
            raise SecretUnreadableError
        return sealed.partition(":")[2]

    def destroy(self, owner: UUID) -> None:
        if not self.is_available:
            raise KeyStoreUnavailableError("it is locked")
        self.destroyed.add(owner)

    def digest(self, data: bytes) -> str:
        return data.hex()


def monitor_with(config: Config) -> Monitor:
    command = replace(CREATE_IMAP, config=config)
    return Monitor.create(1, command, monitor_id=MONITOR_ID, config=config, actor=TESTER, now=NOON)


@pytest.fixture
def vault() -> FakeVault:
    return FakeVault()


@pytest.fixture
def monitor(vault: FakeVault) -> Monitor:
    config = {"user": "u", "password": "p"}
    return monitor_with(SealedConfigs(vault).seal_new("imap_pop", config, MONITOR_ID))


@pytest.mark.parametrize(
    "sent", [{"user": "u", "password": MASK}, {"user": "u"}, {"user": "u", "password": "p"}]
)
def test_the_same_secret_keeps_its_sealed_text(
    vault: FakeVault, monitor: Monitor, sent: dict[str, Any]
) -> None:
    assert SealedConfigs(vault).seal_changed(monitor, sent) == monitor.config
    assert vault.sealed == 1


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_new_secret_is_sealed_also_when_the_old_one_is_lost(
    vault: FakeVault, monitor: Monitor, *, is_lost: bool
) -> None:
    if is_lost:
        vault.destroy(MONITOR_ID)

    changed = SealedConfigs(vault).seal_changed(monitor, {"user": "u", "password": "new"})

    assert changed == {"user": "u", "password": "sealed 2:new"}


def test_a_secret_for_a_monitor_that_had_none_is_sealed(vault: FakeVault) -> None:
    changed = SealedConfigs(vault).seal_changed(
        monitor_with({}), {"user": "u", "password": "first"}
    )

    assert changed == {"user": "u", "password": "sealed 1:first"}
    assert vault.owners == {MONITOR_ID}


def test_half_a_login_is_refused_before_anything_is_sealed(
    vault: FakeVault, monitor: Monitor
) -> None:
    with pytest.raises(InvalidInputError):
        SealedConfigs(vault).seal_changed(monitor, {"password": "new"})

    assert vault.sealed == 1


def test_a_stored_config_is_opened_with_the_key_of_its_monitor(
    vault: FakeVault, monitor: Monitor
) -> None:
    configs = SealedConfigs(vault)

    assert configs.unsealed(MONITOR_ID, "imap_pop", monitor.config)["password"] == "p"
    vault.destroy(MONITOR_ID)
    with pytest.raises(SecretUnreadableError):
        configs.unsealed(MONITOR_ID, "imap_pop", monitor.config)


def test_a_key_that_cannot_be_destroyed_now_is_destroyed_with_the_next_one(
    vault: FakeVault, caplog: pytest.LogCaptureFixture
) -> None:
    configs, first, second = SealedConfigs(vault), uuid4(), uuid4()
    vault.is_available = False
    with caplog.at_level(logging.WARNING):
        configs.destroy_key(first)
    vault.is_available = True
    configs.destroy_key(second)

    assert vault.destroyed == {first, second}
    assert caplog.messages == [
        f"the data key of the deleted monitor {first} is not destroyed yet: it is locked"
    ]


def test_every_key_that_is_called_like_a_secret_is_sealed_and_opened(vault: FakeVault) -> None:
    sent = {"user": "u", "password": "p", "auth": {"accessToken": "t"}, "a": [{"key": [1, "x"]}]}

    sealed = SealedConfigs(vault).seal_new("imap_pop", sent, MONITOR_ID)

    assert sealed == {
        "user": "u",
        "password": "sealed 1:p",
        "auth": {"accessToken": {"sealed": 'sealed 2:"t"'}},
        "a": [{"key": {"sealed": 'sealed 3:[1,"x"]'}}],
    }
    assert SealedConfigs(vault).unsealed(MONITOR_ID, "imap_pop", sealed) == sent


@pytest.mark.parametrize("token", [MASK, "t"])
def test_the_same_token_keeps_its_sealed_text(vault: FakeVault, token: str) -> None:
    stored = SealedConfigs(vault).seal_new("imap_pop", {"token": "t", "x": 1}, MONITOR_ID)

    same = SealedConfigs(vault).seal_changed(monitor_with(stored), {"token": token, "x": 1})
    other = SealedConfigs(vault).seal_changed(monitor_with(stored), {"token": token, "x": 2})

    assert (same, other) == (stored, {**stored, "x": 2})
    assert vault.sealed == 1


@pytest.mark.parametrize("password", [MASK, "old"])
def test_a_secret_that_an_old_event_holds_in_clear_is_sealed_by_the_next_change(
    vault: FakeVault, password: str
) -> None:
    monitor = monitor_with({"pass": "old", "x": 1})

    same = SealedConfigs(vault).seal_changed(monitor, {"pass": password, "x": 1})
    other = SealedConfigs(vault).seal_changed(monitor, {"pass": password, "x": 2})

    assert same == monitor.config
    assert other == {"pass": {"sealed": 'sealed 1:"old"'}, "x": 2}
    assert SealedConfigs(vault).unsealed(MONITOR_ID, "imap_pop", monitor.config) == monitor.config
