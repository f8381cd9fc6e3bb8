"""Counting requests when there is no disk space for the files of the counters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


END_SECONDS = 60
ASK_WITHOUT_ROOM = """
import json, logging, resource, sys
from pathlib import Path
from uuid import UUID

from falcon.testing import TestClient

from api.app import create_app
from domain.commands import IssueToken
from domain.kinds import KINDS
from api.http.log_throttle import BETWEEN_SECONDS
from projections.catalog import Views
from store.store import create_store

TOKEN, NUMBERS = "wsm_" + "t" * 40, "wsm_" + "n" * 40
LIMITS = {"not made": 0, "not grown": 1 << 16, "roomy": resource.RLIM_INFINITY}
ID = "/33333333-3333-4333-8333-333333333333"
PATHS = [
    "/api/organization", "/api/customers", "/api/customers/1", "/api/events", "/healthz",
    "/api/monitoring-locations", "/api/organization/tokens", "/api/customer/tokens", "/nowhere",
    *(kind.path + below for kind in KINDS.values()
      for below in ("", ID, ID + "/history", ID + "/check-history", ID + "/uptime")),
]
logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
found = {}
with create_store(Path(sys.argv[1])) as store:
    store.monitoring.set_up("O", "C", TOKEN)
    with Views(store) as views:
        views.projector("monitors").catch_up()
        organization = UUID(views.reader.organization(1)["public_id"])
        numbers = IssueToken(organization, None, "Prometheus", "metrics", NUMBERS)
        store.monitoring.issue_token(numbers, {"type": "system", "id": "test"})
        views.projector("monitors").catch_up()
        client = TestClient(create_app(store, views), headers={"Authorization": "Bearer " + TOKEN})
        for name, limit in LIMITS.items():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            found[name] = sorted({
                client.simulate_request(method, path).status_code
                for path in PATHS for method in ("GET", "HEAD", "PUT", "OPTIONS")
            })
        body = {"name": "New", "email": "new@example.com"}
        found["command"] = client.simulate_post("/api/customers", json=body).status_code
        found["metrics"] = client.simulate_get(
            "/metrics", headers={"Authorization": "Bearer " + NUMBERS}
        ).status_code
print(json.dumps(found))
"""


def test_what_cannot_be_counted_is_answered_all_the_same(tmp_path: Path) -> None:
    counts = tmp_path / "counts"
    counts.mkdir()

    done = subprocess.run(
        [sys.executable, "-c", ASK_WITHOUT_ROOM, tmp_path / "data"],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(counts)},
        capture_output=True,
        text=True,
        timeout=END_SECONDS,
        check=True,
    )

    found = json.loads(done.stdout)
    for name in ("not made", "not grown", "roomy"):
        assert 200 in found[name]
        assert 500 not in found[name], name
    assert (found["command"], found["metrics"]) == (201, 200)
    assert "metrics lack counts: there is no room for them (OSError)" in done.stderr
