"""The start of a checker registers its location, logs what that changes, or is refused."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from checker.runtime.location import Location
from service.checker_process import location_from, register_location
from service.errors import CommandError, ExitCode
from service.settings import Settings
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from store.store import Store


URL = "postgresql://watch:canary@db.example.com/mail"
NUREMBERG = Location("de-nbg", "Nuremberg (DE)", "DE")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [each.getMessage() for each in caplog.records if each.name == "postwatch.checker"]
    caplog.clear()
    return lines


@pytest.fixture(autouse=True)
def _everything_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_a_start_that_changes_nothing_says_nothing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    assert register_location(store, NUREMBERG, is_named=True) == 1
    assert register_location(store, NUREMBERG, is_named=True) == 1
    assert register_location(store, Location("local", "Local"), is_named=False) == 2

    assert said(caplog) == []


def test_a_start_says_in_one_line_what_it_changes(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    register_location(store, NUREMBERG, is_named=True)

    register_location(store, Location("de-nbg", "Nürnberg", "DE"), is_named=True)
    register_location(store, Location("de-nbg", "Nürnberg", "FI"), is_named=True)
    register_location(store, Location("de-nbg", "Local", None), is_named=True)

    decides = "the country decides which monitors are checked there"
    name = "name from Nürnberg to Local"
    assert said(caplog) == [
        "this start changes location de-nbg: name from Nuremberg (DE) to Nürnberg",
        f"this start changes location de-nbg: country from DE to FI; {decides}",
        f"this start changes location de-nbg: {name}; country from FI to none; {decides}",
    ]


def test_a_retired_location_that_is_named_is_in_use_again(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    register_location(store, NUREMBERG, is_named=True)
    store.monitoring.retire_location("de-nbg", TESTER)

    assert register_location(store, Location("de-nbg", "Nuremberg (DE)", "AT"), is_named=True) == 1

    back, changed = said(caplog)
    assert back == "location de-nbg was retired; this start brings it back"
    assert "country from DE to AT" in changed
    *_, restored, updated = store.reader("monitoring").after(0, 100)
    assert (type(restored.event).TOPIC, restored.event.actor) == (
        "LocationRestored",
        {"type": "checker", "id": "de-nbg"},
    )
    assert updated.event.changes == {"country": "AT"}


def test_a_retired_location_that_no_setting_names_stays_retired(store: Store) -> None:
    local = Location("local", "Local")
    register_location(store, local, is_named=False)
    store.monitoring.retire_location("local", TESTER)
    head = store.reader("monitoring").head()

    with pytest.raises(CommandError, match="location local is retired") as refused:
        register_location(store, local, is_named=False)

    assert refused.value.code == ExitCode.SETTINGS_WRONG
    assert "--location or POSTWATCH_LOCATION" in str(refused.value)
    assert store.reader("monitoring").head() == head


def test_a_checker_with_a_database_needs_a_location() -> None:
    settings = Settings.from_env({"POSTWATCH_DATABASE_URL": URL})

    with pytest.raises(CommandError, match="needs a location") as refused:
        location_from(settings, is_supervised=False)

    assert refused.value.code == ExitCode.SETTINGS_WRONG
    assert "canary" not in str(refused.value)
    assert location_from(settings, is_supervised=True) == Location("local", "Local")


def test_a_checker_of_files_is_at_local_unless_a_setting_names_another() -> None:
    env = {"POSTWATCH_LOCATION": "de-nbg", "POSTWATCH_COUNTRY": "de"}

    assert location_from(Settings.from_env({}), is_supervised=False) == Location("local", "Local")
    for each in (env, {**env, "POSTWATCH_DATABASE_URL": URL}):
        found = location_from(Settings.from_env(each), is_supervised=False)
        assert found == Location("de-nbg", "de-nbg", "DE")
    named = Settings.from_env({**env, "POSTWATCH_LOCATION_NAME": "Nuremberg"})
    assert location_from(named, is_supervised=False).name == "Nuremberg"
