"""Misspelt names of settings are refused at the start, and names of others are left alone."""

from __future__ import annotations

import pytest

from service.errors import CommandError, ExitCode
from service.settings import Settings


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("POSTWATCH_ALLOWED_NETWORK", "POSTWATCH_ALLOWED_NETWORKS"),
        ("POSTWATCH_LOGLEVEL", "POSTWATCH_LOG_LEVEL"),
        ("POSTWATCH_MASTERKEY_FILE", "POSTWATCH_MASTER_KEY_FILE"),
        ("POSTWATCH_RATELIMIT", "POSTWATCH_RATE_LIMIT"),
        ("POSTWATCH_WORKER", "POSTWATCH_WORKERS"),
    ],
)
def test_a_misspelt_name_is_refused_with_what_was_meant(name: str, meant: str) -> None:
    with pytest.raises(CommandError) as refused:
        Settings.from_env({name: "secret-value", "POSTWATCH_PORT": "x"})

    assert refused.value.code == ExitCode.SETTINGS_WRONG
    assert str(refused.value) == (
        f"settings are wrong: {name}: is not a setting; did you mean {meant}?"
    )


def test_a_misspelt_name_and_a_wrong_value_are_named_together() -> None:
    with pytest.raises(CommandError, match=r"POSTWATCH_WORKERS: .*; POSTWATCH_COUNTRI: is not"):
        Settings.from_env({"POSTWATCH_WORKERS": "none", "POSTWATCH_COUNTRI": "de"})


@pytest.mark.parametrize(
    "name",
    [
        "POSTWATCH_PORT",
        "POSTWATCH_PORT_8025_TCP",
        "POSTWATCH_PORT_8025_TCP_ADDR",
        "POSTWATCH_SERVICE_HOST",
        "POSTWATCH_SERVICE_PORT",
        "POSTWATCH_TESTS_REQUIRE",
        "POSTWATCH_TEST_POSTGRES_BIN",
        "POSTWATCH",
        "MASTER_KEY",
    ],
)
def test_a_name_that_is_like_no_setting_is_left_alone(name: str) -> None:
    Settings.from_env({name: "tcp://10.0.0.1:8025"})
