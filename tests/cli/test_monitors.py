"""`postwatch status`, and `postwatch monitor list`, `show`, `add`, `set`, `delete`, `history`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from service.errors import ExitCode
from tests.domain.given import CREATE_IMAP, TESTER, check_of, make_owners
from tests.store.rich_store import decide

if TYPE_CHECKING:
    from pathlib import Path

    from domain.monitor import Monitor
    from tests.domain.given import Owners
    from tests.places import Place


UNKNOWN = "3f6f4e1c-3a52-4c5e-9d0c-8d1d0a1f6b11"
SECRET = "canary-of-a-password"


def run(place: Place, *arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=place.environment, input=given)


def told(place: Place, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
    result = run(place, *arguments, "--json")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return json.loads(result.stdout)


@pytest.fixture
def owners(place: Place) -> Owners:
    with place.create() as store:
        return make_owners(store)


@pytest.fixture
def watched(place: Place, owners: Owners) -> tuple[Monitor, Monitor, Monitor]:
    """A monitor that fails, one that is up, and one of another organization that is disabled."""
    with place.open() as store:
        monitoring = store.monitoring
        failing = monitoring.create_monitor(owners.create(name="Front desk"), TESTER)
        good = monitoring.create_monitor(owners.create(CREATE_IMAP, name="Back office"), TESTER)
        other = make_owners(store, "Other")
        disabled = monitoring.create_monitor(other.create(name="Far", status="disabled"), TESTER)
        checks = [check_of(failing, 1, "down"), check_of(good, 2)]
        store.checks.record(checks, location="de-nbg", actor=TESTER)
    return failing, good, disabled


@pytest.mark.usefixtures("owners")
def test_nothing_is_down_on_an_empty_store(place: Place) -> None:
    result = run(place, "status")

    assert (result.exit_code, result.stdout) == (ExitCode.OK, "there are no monitors\n")
    assert "nobody decides what is down" in result.stderr


def test_status_says_what_is_not_well_and_why(
    place: Place, watched: tuple[Monitor, Monitor, Monitor]
) -> None:
    failing, *_ = watched
    suspicious = run(place, "status")
    assert suspicious.exit_code == ExitCode.OK
    assert suspicious.stdout.startswith("1 suspicious, 1 disabled, 1 up\n")
    assert "Front desk" in suspicious.stdout
    assert "Back office" not in suspicious.stdout

    with place.open() as store:
        incident = decide(store, failing)

    result = run(place, "status")
    assert (result.exit_code, result.stderr) == (ExitCode.MONITOR_DOWN, "")
    found = told(place, "status")
    assert found["byState"]["down"] == 1
    assert [(each["name"], each["state"]) for each in found["monitors"]] == [("Front desk", "down")]
    assert found["monitors"][0]["stateSince"] == incident.outage_started_at
    assert found["monitors"][0]["lastError"]["category"] == "timeout"
    other = run(place, "status", "--organization", "2")
    assert (other.exit_code, other.stdout) == (ExitCode.OK, "1 disabled\n")


def test_monitors_are_listed_by_state_kind_customer_and_text(
    place: Place, watched: tuple[Monitor, Monitor, Monitor]
) -> None:
    def names(*options: str) -> list[str]:
        return [each["name"] for each in told(place, "monitor", "list", *options)]

    assert names() == ["Back office", "Front desk", "Far"]
    assert names("--state", "up,disabled") == ["Back office", "Far"]
    assert names("--type", "imap_pop") == ["Back office"]
    assert names("--customer", "2") == ["Far"]
    assert names("--organization", "1", "--sort", "name") == ["Back office", "Front desk"]
    assert names("--sort", "name", "--reverse", "--customer", "1") == ["Front desk", "Back office"]
    assert names("--search", "OFFICE") == ["Back office"]
    table = run(place, "monitor", "list").stdout
    assert str(watched[0].id) in table
    assert "smtp.example.com:587" in table


def test_one_monitor_is_shown_with_the_verdict_of_each_location(
    place: Place, watched: tuple[Monitor, Monitor, Monitor]
) -> None:
    failing, *_ = watched
    found = told(place, "monitor", "show", str(failing.id))

    assert (found["publicId"], found["state"]) == (str(failing.id), "suspicious")
    assert found["locations"] == [
        {
            "location": "de-nbg",
            "verdict": "down",
            "checkedAt": "2026-01-01T12:01:00.000Z",
            "category": "timeout",
            "message": None,
            "serverReply": None,
        }
    ]
    shown = run(place, "monitor", "show", str(failing.id)).stdout
    assert "de-nbg" in shown
    assert "suspicious" in shown


def test_a_monitor_is_added_changed_and_deleted(
    place: Place, owners: Owners, tmp_path: Path
) -> None:
    config = tmp_path / "box.json"
    config.write_text(json.dumps({"user": "u", "password": SECRET}))
    options = ("--customer", str(owners.customer.number), "--check-interval", "0.5")

    added = run(
        place, "monitor", "add", "imap_pop", "Mailbox", "IMAP.example.com", *options,
        "--countries", "de,FI", "--config", str(config), "--json",
    )  # fmt: skip

    assert (added.exit_code, added.stderr) == (ExitCode.OK, "")
    public_id = json.loads(added.stdout)["publicId"]
    found = told(place, "monitor", "show", public_id)
    assert (found["hostname"], found["checkInterval"]) == ("imap.example.com", 0.5)
    assert found["allowedCheckCountryCodes"] == ["DE", "FI"]
    assert found["imapPopConfig"] == {"user": "u", "password": "********"}

    cleared = ("--clear", "allowedCheckCountryCodes", "--name", "Renamed")
    changed = run(place, "monitor", "set", public_id, *cleared)
    assert changed.stdout == f"monitor {public_id} changed: Renamed (imap.example.com)\n"
    assert "is so already" in run(place, "monitor", "set", public_id, "--name", "Renamed").stdout
    given = json.dumps({"user": "u", "password": "********", "protocol": "pop3"})
    assert run(place, "monitor", "set", public_id, "--config", "-", given=given).exit_code == 0
    with place.open() as store:
        monitor: Any = store.monitoring.repository.get(UUID(public_id))
        kept = store.monitoring.unsealed(monitor.id, monitor.kind, monitor.config)
    assert (kept["password"], kept["protocol"]) == (SECRET, "pop3")

    refused = run(place, "monitor", "delete", public_id, given="n\n")
    assert refused.exit_code == ExitCode.FAILED
    assert run(place, "monitor", "delete", public_id, "--yes").exit_code == ExitCode.OK
    assert told(place, "monitor", "list") == []
    history = told(place, "monitor", "history", public_id)
    assert [each["type"] for each in history] == [
        "MonitorDeleted", "MonitorUpdated", "MonitorUpdated", "MonitorCreated"
    ]  # fmt: skip
    assert {each["actor"]["type"] for each in history} == {"operator"}


@pytest.mark.parametrize(
    ("arguments", "given", "code", "words"),
    [
        (("list", "--state", "dwn"), None, 2, "'dwn' is not a known state; did you mean down?"),
        (("list", "--customer", "9"), None, 1, "there is no customer 9"),
        (("list", "--organization", "9"), None, 1, "there is no organization 9"),
        (("list", "--sort", "age"), None, 2, "--sort"),
        (("show", "17"), None, 2, "17 is not a public id"),
        (("show", UNKNOWN), None, 1, "there is no monitor"),
        (("set", UNKNOWN, "--name", "x"), None, 1, "there is no monitor"),
        (("set", UNKNOWN), None, 2, "name something to change"),
        (("delete", UNKNOWN, "--yes"), None, 1, "there is no monitor"),
        (
            ("add", "smtp", "N", "not a host", "--customer", "1", "--check-interval", "0"),
            None, 2, "hostname ",
        ),
        (
            ("add", "smtp", "N", "h.example", "--customer", "1", "--config", "-"),
            f'{{"pass": "{SECRET}"', 2, "--config: the file is no JSON",
        ),
        (
            ("add", "smtp", "N", "h.example", "--customer", "1", "--config", "-"),
            f'{{"auth": {{"pass": 7, "user": "{SECRET}"}}}}', 2, "config.auth.pass must be",
        ),
        (("add", "smtp", "N", "h.example", "--customer", "9"), None, 1, "there is no customer 9"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("owners")
def test_what_is_wrong_is_named_and_no_secret_shown(
    place: Place, arguments: tuple[str, ...], given: str | None, code: int, words: str
) -> None:
    result = run(place, "monitor", *arguments, given=given)

    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert SECRET not in result.output


def test_the_dialogue_of_the_last_failed_check_is_shown(
    place: Place, watched: tuple[Monitor, Monitor, Monitor]
) -> None:
    failing, good, _ = watched
    lines = [{"elapsed_ms": 2.5, "side": "server", "text": "550 go\u001b away"}]
    with place.open() as store:
        made = check_of(failing, 3, "down")
        check = replace(made, outcome={**made.outcome, "message": "refused", "dialogue": lines})
        store.checks.record([check], location="de-nbg", actor=TESTER)

    shown = run(place, "monitor", "dialogue", str(failing.id)).stdout
    (found,) = told(place, "monitor", "dialogue", str(failing.id))

    assert "       2.5 ms  server: 550 go\\u001b away" in shown
    assert (found["location"], found["dialogue"]) == ("de-nbg", lines)
    assert told(place, "monitor", "dialogue", str(good.id)) == []
    said = run(place, "monitor", "dialogue", str(good.id)).stdout
    assert said == "no failed check of this monitor has a dialogue\n"
