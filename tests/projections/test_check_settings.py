"""The settings that monitors were checked by: many read at once, each version as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn
from uuid import UUID

from domain.availability import WatchSettings
from domain.commands import UpdateMonitor
from projections.views.uptime import NO_CHECK_SETTINGS, LoggedCheckSettings
from tests.domain.given import NOON, TESTER

if TYPE_CHECKING:
    import pytest

    from store.store import Store
    from tests.domain.given import Owners


NOBODY = str(UUID(int=7, version=4))
EVERY_FIVE = WatchSettings(300_000, 10_000, in_maintenance=False)


def test_every_version_of_several_monitors_is_known(store: Store, owners: Owners) -> None:
    one, other = (
        store.monitoring.create_monitor(
            owners.create(check_interval=minutes, timeout_seconds=10), TESTER
        )
        for minutes in (5, 7)
    )
    change = UpdateMonitor(one.id, {"status": "maintenance", "timeout_seconds": 20})
    store.monitoring.update_monitor(change, TESTER)
    settings = LoggedCheckSettings(store.monitoring)

    settings.look_up([(str(other.id), 1), (NOBODY, 1), (str(one.id), 2), (str(one.id), 1)])

    assert settings.at(str(one.id), 1) == EVERY_FIVE
    assert settings.at(str(one.id), 2) == WatchSettings(300_000, 20_000, in_maintenance=True)
    assert settings.at(str(one.id), 3) is None
    assert settings.at(str(other.id), 1) == EVERY_FIVE._replace(interval_ms=420_000)
    assert settings.at(NOBODY, 1) is None


def test_a_version_that_came_later_is_read_then(store: Store, owners: Owners) -> None:
    made = store.monitoring.create_monitor(
        owners.create(check_interval=5, timeout_seconds=10), TESTER
    )
    settings = LoggedCheckSettings(store.monitoring)
    assert settings.at(str(made.id), 1) == EVERY_FIVE
    changed = UpdateMonitor(made.id, {"check_interval": 1})
    store.monitoring.update_monitor(changed, TESTER)

    assert settings.at(str(made.id), 2) == EVERY_FIVE._replace(interval_ms=60_000)


def test_a_long_stream_is_read_on_and_not_again(
    store: Store, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.monitoring.create_monitor(
        owners.create(check_interval=5, timeout_seconds=10), TESTER
    )
    for version in range(2, 101):
        made.update({"check_interval": version}, actor=TESTER, now=NOON)
    store.monitoring.save(made)
    settings = LoggedCheckSettings(store.monitoring)
    assert settings.at(str(made.id), 100) == EVERY_FIVE._replace(interval_ms=6_000_000)
    store.monitoring.update_monitor(UpdateMonitor(made.id, {"status": "maintenance"}), TESTER)
    monkeypatch.setattr(store.monitoring, "events_of", _refuse)

    assert settings.at(str(made.id), 101) == WatchSettings(6_000_000, 10_000, in_maintenance=True)
    assert settings.at(str(made.id), 102) is None
    assert settings.at(str(made.id), 2) == EVERY_FIVE._replace(interval_ms=120_000)


def _refuse(streams: object) -> NoReturn:
    raise AssertionError(f"read whole streams: {streams}")


def test_what_is_known_of_monitors_is_bounded(store: Store, owners: Owners) -> None:
    made = [
        store.monitoring.create_monitor(owners.create(check_interval=5, timeout_seconds=10), TESTER)
        for _ in range(5)
    ]
    settings = LoggedCheckSettings(store.monitoring, known_monitors=3)

    for _ in range(2):
        for pair in (made[:2], made[2:4], made[4:]):
            settings.look_up((str(each.id), 1) for each in pair)
            assert [settings.at(str(each.id), 1) for each in pair] == [EVERY_FIVE] * len(pair)
            assert len(settings._known) <= 3


def test_where_no_settings_are_nothing_is_known() -> None:
    NO_CHECK_SETTINGS.look_up([(NOBODY, 1)])

    assert NO_CHECK_SETTINGS.at(NOBODY, 1) is None
