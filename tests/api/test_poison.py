"""A config that looks like a typed value of the event store's own transcoder is plain data."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from projections.catalog import PROJECTIONS, Views
from tests.api.world import PATHS, SMTP
from tests.system.service import ROOT

if TYPE_CHECKING:
    from tests.api.world import World


POISON = {"_type_": "x", "_data_": "y"}
REAL_TYPE = {"_type_": "decimal_str", "_data_": "1.5"}
DEEP = {"a": [{"b": POISON}, POISON]}
READ_ALL = """
import sys
from projections.catalog import Views
from tests.places import place_of

with place_of(*sys.argv[1:]).open() as store, Views(store) as views:
    for projector in views.projectors.values():
        projector.rebuild(lambda *_: None)
    print(views.projector("monitors").view.count()["monitors"])
"""


@pytest.mark.parametrize("poison", [POISON, REAL_TYPE, DEEP], ids=["nonsense", "real", "deep"])
@pytest.mark.parametrize("kind", ["smtp", "imap_pop"])
def test_a_poisoned_config_is_stored_and_returned_as_sent(
    fresh_world: World, kind: str, poison: dict[str, Any]
) -> None:
    admin = fresh_world.admin
    for config in (poison, {"auth": poison}, {"tlsOptions": poison}):
        created = admin.post(PATHS[kind], fresh_world.body(kind, config=config))
        assert created.status_code == 201
        path = created.headers["location"]
        patched = admin.patch(path, {"config": {**config, "more": 1}})

        assert created.json["config"] == config
        assert patched.json["config"] == {**config, "more": 1}
        assert admin.get(path).json["config"] == {**config, "more": 1}
    assert admin.get(PATHS[kind]).json["total"] == 3


def test_everything_goes_on_reading_after_a_poisoned_config(fresh_world: World) -> None:
    admin = fresh_world.admin
    admin.post(SMTP, fresh_world.body(smtpConfig={"auth": POISON}))
    later = admin.post(SMTP, fresh_world.body(name="Later"))
    place = fresh_world.place

    with place.open() as store, Views(store) as views:
        for projection in PROJECTIONS:
            projector = views.projector(projection.name)
            projector.rebuild(lambda *_: None)
            assert projector.view.position() == projector.log.head()
        assert views.reader.monitor("smtp", later.json["publicId"]) is not None
    another = subprocess.run(
        [sys.executable, "-c", READ_ALL, *place.words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (another.stderr, another.stdout.strip()) == ("", "2")
    assert admin.get(later.headers["location"]).json["name"] == "Later"
