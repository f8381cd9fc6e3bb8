"""Old checks are archived beside a running service; the archiver is killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from domain.clock import utc_now
from service.errors import ExitCode
from store.store import open_store
from tests.domain.realistic import Fleet, record
from tests.mailservers.processes import free_ports
from tests.system.service import CLEAN, ROOT, Service
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from subprocess import Popen


pytestmark = [pytest.mark.system, pytest.mark.thorough]

OLD_CHECKS = 8000
RECORDED_SECONDS = 120
ARCHIVE = ("checks", "archive", "--older-than", "30d")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A running service that archives nothing by itself."""
    with Service(tmp_path / "data", POSTWATCH_ARCHIVE_AFTER="never") as running:
        yield running


def start(service: Service) -> Popen[str]:
    """Begin to archive, and do not wait."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *ARCHIVE],
        cwd=ROOT,
        env={**CLEAN, **service.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed_when(service: Service, moment: Callable[[], bool], what: str) -> None:
    """Begin to archive, and kill the process at a moment. It may have ended just then."""
    process = start(service)
    wait_until(lambda: moment() or process.poll() is not None, what=what)
    process.kill()
    process.communicate(timeout=30)


def is_being_written(folder: Path) -> bool:
    """Return whether a segment is being made, or was."""
    return folder.exists() and any(folder.iterdir())


def is_caught_up(service: Service) -> bool:
    with service.views() as views:
        return all(projector.lag() == 0 for projector in views.projectors.values())


def test_an_archiver_that_is_killed_again_and_again_loses_nothing(service: Service) -> None:
    with open_store(service.data) as store:
        record(store, Fleet(50, start=utc_now() - timedelta(days=90)).checks(OLD_CHECKS))
        port = free_ports(1)[0]
        target = service.client.create(
            "smtp", name="Target", hostname="127.0.0.1", port=port, checkInterval=0.1
        )
        path = f"/api/smtp-monitors/{target['publicId']}"
        service.wait_for_check(target["publicId"])
        head = store.reader("checks").head()
        before = list(store.rows("checks").after(0, head))
        wait_until(lambda: is_caught_up(service), seconds=60, what="views caught up")
        decided = store.incidents
        wait_until(lambda: (decided.tracked("checks") or 0) >= head, seconds=60, what="decided")

        killed_when(service, lambda: is_being_written(store.folder.archive), "a segment begun")
        assert list(store.rows("checks").after(0, head)) == before
        killed_when(service, lambda: store.archive.through() > 0, "a segment recorded")
        assert list(store.rows("checks").after(0, head)) == before
        first = start(service)
        second = start(service)
        said = [each.communicate(timeout=60) for each in (first, second)]
        codes = sorted([first.returncode, second.returncode])
        assert codes in ([0, 0], [0, ExitCode.ALREADY_RUNNING]), said

        done = service.run(*ARCHIVE)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("archived 0 checks")
        assert list(store.rows("checks").after(0, head)) == before
        assert store.archive.through() == OLD_CHECKS
        checked = service.last_check(target["publicId"])
        assert checked is not None
        wait_until(
            lambda: (
                (service.last_check(target["publicId"]) or checked)["due_at"] > checked["due_at"]
            ),
            what="the next check of the target",
        )
    verified = service.run("log", "verify", "checks")
    assert verified.returncode == 0, verified.stdout
    assert service.run("projections", "verify").returncode == 0
    assert service.client("GET", f"{path}/check-history").status == 200
    assert service.client("GET", f"{path}/uptime").body["checks"] > 0


def test_a_service_archives_old_checks_by_itself_also_after_a_kill(tmp_path: Path) -> None:
    with Service(tmp_path / "data") as service, open_store(service.data) as store:
        record(store, Fleet(50, start=utc_now() - timedelta(days=90)).checks(OLD_CHECKS))
        before = list(store.rows("checks").after(0, OLD_CHECKS))
        wait_until(
            lambda: store.engine.locks.holder("archive"),
            seconds=RECORDED_SECONDS,
            what="archiving begun",
        )
        os.kill(service.part("projections"), signal.SIGKILL)

        wait_until(
            lambda: store.archive.through() == OLD_CHECKS,
            seconds=RECORDED_SECONDS,
            what="the checks archived",
        )
        live = store.engine.rows("checks")
        wait_until(
            lambda: len(live.after(0, OLD_CHECKS)) == 50,
            seconds=RECORDED_SECONDS,
            what="the log pruned",
        )

        assert list(store.rows("checks").after(0, OLD_CHECKS)) == before
        assert service.run("log", "verify", "checks").returncode == 0
