"""The database ends and comes back, the active projections end or freeze: all goes on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from projections.catalog import Views
from soak.deployment import Deployment, running
from store.ports.engine import Database
from store.postgres.locks import SILENT_SECONDS
from store.store import open_store
from tests.mailservers.processes import free_ports
from tests.places import POSTGRES
from tests.postgres_server import postgres_server, start
from tests.system.parts import stopping
from tests.system.service import is_alive, postwatch
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.parts import Part
    from tests.system.service import Answer


pytestmark = [pytest.mark.system, *POSTGRES.marks, pytest.mark.timeout(180)]

PASSWORD = "canary"
MONITOR = {"customerId": 1, "hostname": "127.0.0.1"}


@pytest.mark.thorough
def test_all_parts_wait_for_the_database_and_go_on(tmp_path: Path) -> None:
    with postgres_server() as server:
        url = server.url().replace("@", f":{PASSWORD}@")
        with running(tmp_path, POSTWATCH_DATABASE_URL=url) as fleet:
            pids = [part.pid for part in fleet.parts]
            watched = fleet.client.create(
                "smtp",
                name="Watched",
                hostname="127.0.0.1",
                port=free_ports(1)[0],
                checkInterval=0.1,
            )
            wait_until(lambda: checked_at(fleet, watched), what="a check")
            server.stop()

            _commands_are_refused_at_once(fleet)
            late = fleet.part("late", "projections", "run")
            late.start("waiting for the database before this process does anything: the database ")

            again = start(server.binaries, server.folder, {"fsync": "off"}, server.port)
            try:
                wait_until(lambda: renamed(fleet, watched["publicId"]), what="a command")
                seen = checked_at(fleet, watched)
                wait_until(lambda: checked_at(fleet, watched) != seen, what="another check")
                late.wait_for("standing by: held by process")
                assert late.stop() == 0
                assert late.messages()[-1] == "SIGTERM: finishing what is running"
                _the_views_are_right(url, tmp_path)
                # No process was restarted, and none repeated the log line many times.
                assert all(is_alive(pid) for pid in pids)
                assert [part.pid for part in fleet.parts] == pids
            finally:
                stop_all(fleet)
                again.stop()
            away = [line for line in fleet.messages() if "does not answer" in line]
            assert 4 <= len(away) <= 60, away
            assert PASSWORD not in fleet.logs()


@pytest.mark.thorough
def test_another_process_takes_over_from_active_projections(tmp_path: Path) -> None:
    with postgres_server() as server:
        url = server.url()
        fleet = Deployment(tmp_path, POSTWATCH_DATABASE_URL=url)
        first, second = fleet.projections
        with stopping(fleet.projections):
            fleet.start_projections()
            before = len(second.messages())
            began = time.monotonic()
            first.kill()
            second.wait_for("active: ", after=before)
            assert time.monotonic() - began < SILENT_SECONDS, "one that ended is not waited for"

            first.start("standing by: held by process")
            before = len(first.messages())
            began = time.monotonic()
            second.freeze()
            first.wait_for("active: ", after=before)
            assert time.monotonic() - began < SILENT_SECONDS + 30
            before = len(second.messages())
            second.thaw()
            second.wait_for("the lock projections is lost", after=before)
            second.wait_for(f"standing by: held by process {first.pid}", after=before)

            assert postwatch("customer", "list", env=fleet.env).returncode == 0
            _the_views_are_right(url, tmp_path)


def _commands_are_refused_at_once(fleet: Deployment) -> None:
    answer = create(fleet)
    if answer.status == 201:  # by a connection that was not broken yet
        wait_until(lambda: create(fleet).status == 503, what="a refusal")
        answer = create(fleet)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) <= 10
    assert answer.body["statusMessage"] == "Service Unavailable"
    assert "nothing was acknowledged" in answer.body["message"]

    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        statuses = {each.status for each in pool.map(lambda _: create(fleet), range(400))}
    assert statuses == {503}
    assert time.monotonic() - began < 60

    assert fleet.client("GET", "/healthz").status == 200
    ready = fleet.client("GET", "/readyz")
    assert ready.status == 503
    assert ready.body["parts"]["log"] == {"ok": False, "error": "does not answer"}


def create(fleet: Deployment) -> Answer:
    return fleet.client("POST", "/api/smtp-monitors", {**MONITOR, "name": "Refused"})


def renamed(fleet: Deployment, public_id: str) -> bool:
    path = f"/api/smtp-monitors/{public_id}"
    return fleet.client("PATCH", path, {"name": f"Renamed {time.monotonic()}"}).status == 200


def checked_at(fleet: Deployment, monitor: dict[str, str]) -> str | None:
    answer = fleet.client("GET", f"/api/smtp-monitors/{monitor['publicId']}")
    found: str | None = answer.body.get("lastCheckedAt")
    return found


def stop_all(fleet: Deployment) -> None:
    def stopped(part: Part) -> int:
        return part.stop()

    assert {stopped(part) for part in fleet.parts} == {0}


def _the_views_are_right(url: str, folder: Path) -> None:
    with open_store(folder / "data", database=Database(url)) as store, Views(store) as views:
        projectors = views.projectors.values()
        wait_until(lambda: not any(each.lag() for each in projectors), what="views without lag")
        assert all(each.is_current() for each in projectors)
