"""Requests whose answer from the database was lost: said as such, and harmless to repeat."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from store.ports.engine import Database
from tests.api.world import JSON, SMTP, make_world
from tests.cutting_proxy import cutting_proxy
from tests.places import Place
from tests.postgres_server import find_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from falcon.testing import Result

    from tests.api.world import World
    from tests.cutting_proxy import CuttingProxy, Moment
    from tests.places import Databases


pytestmark = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")


@pytest.fixture
def cut(postgres: Databases, tmp_path: Path) -> Iterator[tuple[World, CuttingProxy]]:
    """A world whose way to the database can be cut."""
    with postgres.migrated() as database, cutting_proxy(postgres.server) as proxy:
        world = make_world(Place(tmp_path / "data", Database(proxy.url(database.url))))
        yield world, proxy
        world.close()


def require_not_acknowledged(answer: Result) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "nothing was acknowledged" in answer.json["message"]


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_a_client_that_repeats_its_requests_gets_what_it_asked_for_once(
    cut: tuple[World, CuttingProxy], moment: Moment
) -> None:
    world, proxy = cut
    admin = world.admin
    headers = {**JSON, "Idempotency-Key": "lost-1"}
    body = json.dumps(world.body())

    proxy.cut("monitoring", moment)
    require_not_acknowledged(admin.send("POST", SMTP, body, headers))
    created = admin.send("POST", SMTP, body, headers)
    again = admin.send("POST", SMTP, body, headers)

    assert (created.status_code, again.status_code) == (201, 201)
    assert created.json == again.json
    assert admin.get(SMTP).json["total"] == 1

    path = created.headers["location"]
    proxy.cut("monitoring", moment)
    require_not_acknowledged(admin.patch(path, {"name": "Renamed"}))
    assert admin.patch(path, {"name": "Renamed"}).json["name"] == "Renamed"
    assert len(world.history(created.json["publicId"])) == 2

    proxy.cut("monitoring", moment)
    require_not_acknowledged(admin.delete(path))
    assert admin.delete(path).status_code == (404 if moment == "after the commit" else 200)
    # As `projections run` does.
    world.views.projector("monitors").catch_up()
    assert admin.get(path).status_code == 404
    assert proxy.cuts == 3
