"""The proof in a running service: grown, signed and shown, also after it was killed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.system.service import Client, Service, postwatch
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.system

LOG = "/api/logs/monitoring"


@pytest.mark.thorough
def test_a_service_signs_heads_and_its_logs_verify_after_a_kill(tmp_path: Path) -> None:
    service = Service(tmp_path / "data", POSTWATCH_TREE_HEAD_SECONDS="1")
    service.start()
    operator = Client(service.port, service.token_of("operator"))
    wait_until(lambda: operator("GET", LOG + "/head").status == 200, seconds=30, what="a head")
    kept = tmp_path / "kept.heads"
    kept.write_text(service.run("log", "head", "--ndjson").stdout)
    service.kill()
    with service:
        service.client.create("smtp", name="M", hostname="127.0.0.1")
        first = json.loads(kept.read_text())["size"]

    sizes = [
        each["size"]
        for each in json.loads(service.run("log", "head", "--count", "9", "--json").stdout)
    ]
    assert sizes[-1] <= first < sizes[0], "the stop signed what was new"
    done = service.run("log", "verify", "monitoring", "--heads", str(kept), "--json")
    [report] = json.loads(done.stdout)
    assert (done.returncode, report["ok"], report["events"]) == (0, True, sizes[0])


def test_a_wrong_interval_is_named(tmp_path: Path) -> None:
    env = {"POSTWATCH_DATA": str(tmp_path), "POSTWATCH_TREE_HEAD_SECONDS": "0"}

    result = postwatch("projections", "run", env=env)

    assert result.returncode == 7
    assert "POSTWATCH_TREE_HEAD_SECONDS: must be a whole number of seconds" in result.stderr
