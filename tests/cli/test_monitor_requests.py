"""`postwatch monitor check-now` and `retry-login`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from domain.monitor_requests import CheckRequested, LoginRetryRequested
from service.errors import ExitCode
from store.log_reader import LogReader
from tests.domain.given import CREATE_IMAP, TESTER, make_owners

if TYPE_CHECKING:
    from store.store import Store
    from tests.places import Place


def run(place: Place, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["monitor", *arguments], env=place.environment)


@pytest.mark.parametrize(
    ("command", "event", "words"),
    [
        ("check-now", CheckRequested, "check of monitor"),
        ("retry-login", LoginRetryRequested, "login of monitor"),
    ],
)
def test_request_is_recorded_in_the_operators_name(
    place: Place,
    store: Store,
    command: str,
    event: type[CheckRequested | LoginRetryRequested],
    words: str,
) -> None:
    created = make_owners(store).create(CREATE_IMAP, config={"user": "u", "password": "p"})
    monitor = store.monitoring.create_monitor(created, TESTER)

    result = run(place, command, str(monitor.id))

    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    assert result.stdout.startswith(words)
    last = LogReader(store.monitoring).after(0, 1000)[-1].event
    assert isinstance(last, event)
    assert last.actor["type"] == "operator"
    assert UUID(last.monitor_id) == monitor.id


def test_what_cannot_be_done_is_one_line(place: Place, store: Store) -> None:
    monitor = store.monitoring.create_monitor(make_owners(store).create(), TESTER)

    for arguments, code, words in (
        (("check-now", str(UUID(int=5))), ExitCode.FAILED, "Monitor not found"),
        (("retry-login", str(monitor.id)), ExitCode.FAILED, "the monitor has no login"),
        (("check-now", "17"), ExitCode.USAGE, "17 is not a public id"),
    ):
        result = run(place, *arguments)
        assert (result.exit_code, result.stdout) == (code, "")
        assert words in result.stderr
