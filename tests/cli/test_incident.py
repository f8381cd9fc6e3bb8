"""`postwatch incident` shows incidents, and records what people decide about them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from service.errors import ExitCode
from tests.domain.given import TESTER, make_owners
from tests.store.rich_store import decide

if TYPE_CHECKING:
    from tests.places import Place


@pytest.fixture
def decided(place: Place) -> Place:
    """A store with one incident, which was acknowledged."""
    with place.create() as store:
        monitor = store.monitoring.create_monitor(
            make_owners(store).create(name="Front desk"), TESTER
        )
        decide(store, monitor)
    return place


def run(place: Place, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["incident", *arguments], env=place.environment)


def test_open_incidents_are_listed(decided: Place) -> None:
    (found,) = json.loads(run(decided, "list", "--json").stdout)

    assert (found["number"], found["type"], found["state"]) == (1, "downtime", "open")
    assert (found["about"], found["acknowledgedBy"]) == ("Front desk", "tester")
    assert "Front desk" in run(decided, "list").stdout


def test_an_incident_is_shown_with_what_it_rests_on_and_what_was_planned(decided: Place) -> None:
    found = json.loads(run(decided, "show", "1", "--json").stdout)

    assert [(each["event"], each["details"]) for each in found["events"]] == [
        ("IncidentOpened", "local: timeout"),
        ("AlertPlanned", "alert by channel channel"),
        ("IncidentAcknowledged", "tester on my way"),
    ]
    assert "alert by channel" in run(decided, "show", "1").stdout


def test_an_incident_is_closed_and_then_listed_among_all_only(decided: Place) -> None:
    assert run(decided, "ack", "1").exit_code == ExitCode.OK
    closed = run(decided, "close", "1", "--note", "moved away")

    assert closed.stdout == "incident 1 is closed\n"
    assert json.loads(run(decided, "list", "--json").stdout) == []
    (found,) = json.loads(run(decided, "list", "--all", "--json").stdout)
    assert found["state"] == "closed"
    assert found["endedAt"]
    again = run(decided, "close", "1")
    assert again.exit_code == ExitCode.FAILED
    assert "over already" in again.stderr


@pytest.mark.parametrize("command", ["show", "ack", "close"])
def test_an_incident_that_is_not_there_is_named(decided: Place, command: str) -> None:
    refused = run(decided, command, "9")

    assert refused.exit_code == ExitCode.FAILED
    assert "there is no incident 9" in refused.stderr
