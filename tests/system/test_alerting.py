"""`postwatch alerting` as real processes: killed, frozen, standing by."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from cli.main import main
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from service.errors import ExitCode
from tests.domain.given import TESTER, make_owners
from tests.places import on_postgres, on_sqlite
from tests.system.parts import Part, stopping
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.places import Place


pytestmark = pytest.mark.system

ACTIVE = "active: this process holds alerting"


class Watched:
    """A store with one monitor whose checks the test makes."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.folder = folder
        self.store = place.create()
        self.store.monitoring.register_location("local", "Local", "DE", TESTER)
        self.monitor = self.store.monitoring.create_monitor(
            make_owners(self.store).create(), TESTER
        )

    def part(self, name: str) -> Part:
        return Part(["alerting"], self.place.environment, self.folder / f"{name}.log")

    def check(self, category: str, times: int = 1) -> None:
        """Record checks that ended some seconds ago, one after the other."""
        for number in range(times):
            moment = datetime.now(tz=UTC) - timedelta(seconds=times - number)
            verdict = "up" if category == "ok" else "down"
            check = PerformedCheck(
                monitor_id=self.monitor.id,
                monitor_version=1,
                kind="smtp",
                due_at=iso_milliseconds(moment),
                started_at=iso_milliseconds(moment),
                finished_at=moment,
                outcome={"verdict": verdict, "category": category},
            )
            self.store.checks.record([check], location="local", actor=TESTER)

    def topics(self) -> Counter[str]:
        events = self.store.reader("incidents").after(0, 1000)
        return Counter(type(each.event).TOPIC for each in events)

    def wait_for(self, topic: str, times: int = 1) -> None:
        wait_until(lambda: self.topics()[topic] == times, seconds=60, what=f"{times} x {topic}")


@pytest.fixture
def watched(place: Place, tmp_path: Path) -> Iterator[Watched]:
    made = Watched(place, tmp_path)
    yield made
    made.store.close()


@on_sqlite
def test_a_killed_process_goes_on_where_it_was(watched: Watched) -> None:
    part = watched.part("only")
    with stopping([part]):
        part.start("alerting begins to decide")
        watched.check("timeout", 3)
        watched.wait_for("IncidentOpened")
        part.kill()
        watched.check("ok")

        part.start()
        watched.wait_for("IncidentResolved")
        assert part.stop() == 0

    assert watched.topics()["IncidentOpened"] == 1
    assert watched.store.incidents.tracked("checks") == watched.store.reader("checks").head()


@on_sqlite
def test_the_status_says_what_alerting_decides(watched: Watched) -> None:
    part = watched.part("only")
    with stopping([part]):
        part.start("alerting begins to decide")
        for category, times, topic, state, code in (
            ("timeout", 3, "IncidentOpened", "down", ExitCode.MONITOR_DOWN),
            ("ok", 1, "IncidentResolved", "up", ExitCode.OK),
        ):
            watched.check(category, times)
            watched.wait_for(topic)

            told = CliRunner().invoke(main, ["status", "--json"], env=watched.place.environment)

            assert (told.exit_code, told.stderr) == (code, "")
            counts = json.loads(told.stdout)["byState"]
            assert {each for each, number in counts.items() if number} == {state}


@on_sqlite
def test_a_second_process_on_files_is_refused(watched: Watched) -> None:
    first, second = watched.part("first"), watched.part("second")
    with stopping([first, second]):
        first.start("alerting begins to decide")
        second.start()
        assert second.process is not None
        assert second.process.wait(60) == 5


@on_postgres
@pytest.mark.thorough
def test_a_standby_takes_over_from_a_frozen_process_which_then_decides_nothing(
    watched: Watched,
) -> None:
    first, second = watched.part("first"), watched.part("second")
    with stopping([first, second]):
        first.start(ACTIVE)
        second.start("standing by")
        watched.check("timeout", 3)
        watched.wait_for("IncidentOpened")

        first.freeze()
        watched.check("ok")
        second.wait_for(ACTIVE)
        watched.wait_for("IncidentResolved")
        first.thaw()
        first.wait_for("standing by")

        watched.check("timeout", 3)
        watched.wait_for("IncidentReopened")
        second.kill()
        watched.check("ok")
        watched.wait_for("IncidentResolved", 2)

    found = watched.topics()
    assert (found["IncidentOpened"], found["IncidentReopened"]) == (1, 1)
