"""A full disk: changes are refused, nothing is half-written, and work continues afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from soak.disk_full import play_full_disk
from soak.room import SizeLimit, SmallDisk, small_disk
from soak.smtp_server import smtp_server
from tests.system.service import Service
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.thorough, pytest.mark.system, pytest.mark.timeout(300)]


def test_a_full_disk_loses_nothing_and_is_told(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, smtp_server() as port:
        if disk is None:
            pytest.skip("this user may mount no file system")
        service = Service(disk / "data", POSTWATCH_RATE_LIMIT="1000000")
        service.log = tmp_path / "service.log"
        with service:
            refused, judged = play_full_disk(service, SmallDisk(disk), port)

        assert refused > 0
        assert judged.checks > 0
        messages = service.messages()
        wait_until(
            lambda: any("cannot record checks" in each for each in messages),
            what="the checker says why it waits",
        )
        assert "cannot record checks, trying until it works: database or disk is full" in messages
        assert any("can record checks again" in each for each in messages)
        assert any("the store has no room left on its disk" in each for each in messages)


def test_files_that_may_not_grow_lose_nothing(tmp_path: Path) -> None:
    with smtp_server() as port, Service(tmp_path / "data") as service:
        refused, judged = play_full_disk(service, SizeLimit(), port)

    assert refused > 0
    assert judged.checks > 0
