"""The location of a checker: options override settings, and both are validated alike."""

from __future__ import annotations

import pytest

from service.errors import CommandError
from service.settings import Option, Settings

ENVIRONMENT = {
    "POSTWATCH_LOCATION": "fr-par",
    "POSTWATCH_LOCATION_NAME": "Paris",
    "POSTWATCH_COUNTRY": "FR",
}


def read(location: str | None, name: str | None, country: str | None) -> Settings:
    options = {
        "POSTWATCH_LOCATION": Option("--location", location),
        "POSTWATCH_LOCATION_NAME": Option("--name", name),
        "POSTWATCH_COUNTRY": Option("--country", country),
    }
    return Settings.from_env(ENVIRONMENT, options=options)


def test_options_win_over_settings() -> None:
    settings = read("de-nbg", "Nuremberg (DE)", "de")
    assert (settings.location, settings.location_name, settings.country) == (
        "de-nbg",
        "Nuremberg (DE)",
        "DE",
    )


def test_settings_hold_where_no_option_is_given() -> None:
    settings = read(None, "Paris 2", None)
    assert (settings.location, settings.location_name, settings.country) == (
        "fr-par",
        "Paris 2",
        "FR",
    )


def test_empty_option_is_the_default() -> None:
    assert read(None, None, "").country is None


def test_wrong_option_is_named_as_it_was_given() -> None:
    with pytest.raises(CommandError) as raised:
        read("Nuremberg", None, "XX")
    text = str(raised.value)
    assert "--location: must be lower-case letters" in text
    assert "--country: must be a two-letter country code" in text
    assert "POSTWATCH" not in text


def test_wrong_setting_is_named_as_a_setting() -> None:
    with pytest.raises(CommandError, match="POSTWATCH_COUNTRY: must be a two-letter"):
        Settings.from_env({**ENVIRONMENT, "POSTWATCH_COUNTRY": "XX"}, options={})
