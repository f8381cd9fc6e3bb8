"""GET history: every event of a monitor, newest first, to those who may read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.api.world import IMAP, SMTP, path_of
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falcon.testing import Result

    from tests.api.world import Caller, Persona, Whose, World


CANARY: Final = "canary-password"
WHOSE: Final[tuple[Whose, ...]] = ("own", "other", "foreign")

# A living monitor's history, then a deleted one's, of own, other and foreign customers.
EXPECTED: Final[Mapping[Persona, tuple[tuple[int, int, int], tuple[int, int, int]]]] = {
    "admin": ((200, 200, 404), (200, 200, 404)),
    "user": ((200, 200, 404), (403, 403, 404)),
    "scoped_admin": ((200, 403, 404), (200, 403, 404)),
    "scoped_user": ((200, 403, 404), (403, 403, 404)),
    "readonly": ((200, 200, 404), (403, 403, 404)),
    "scoped_readonly": ((200, 403, 404), (403, 403, 404)),
    "supporter": ((200, 200, 200), (200, 200, 200)),
    "stranger": ((404, 404, 200), (404, 404, 200)),
    "expired": ((401,) * 3, (401,) * 3),
    "revoked": ((401,) * 3, (401,) * 3),
    "unknown": ((401,) * 3, (401,) * 3),
    "nobody": ((401,) * 3, (401,) * 3),
}


def history(caller: Caller, path: str, **query: str | int) -> Result:
    return caller.get(f"{path}/history", **query)


@pytest.mark.parametrize("kind", ["smtp", "imap_pop"])
@pytest.mark.parametrize("persona", EXPECTED)
def test_each_role_reads_exactly_the_histories_of_the_table(
    world: World, persona: Persona, kind: str
) -> None:
    caller = world.caller(persona)
    for whose, living, deleted in zip(WHOSE, *EXPECTED[persona], strict=True):
        monitor = world.monitor(kind, whose)
        answer = history(caller, path_of(monitor))
        assert answer.status_code == living, whose
        world.store.monitoring.delete_monitor(monitor.id, TESTER)
        gone = history(caller, path_of(monitor))
        assert gone.status_code == deleted, whose
        if deleted == 200:
            assert [each["type"] for each in gone.json["items"]] == [
                "MonitorDeleted",
                "MonitorCreated",
            ]
            assert gone.json["items"][1:] == answer.json["items"]


def test_who_changed_what_is_told_with_token_and_role(world: World) -> None:
    made = world.admin.post(
        SMTP, world.body(smtpConfig={"auth": {"user": "u", "pass": CANARY}})
    ).json
    path = f"{SMTP}/{made['publicId']}"
    changed = world.caller("readonly").patch(path, {"status": "disabled"})

    answer = history(world.admin, path)

    update, create = answer.json["items"]
    assert update["actor"]["name"] == update["actor"]["role"] == "readonly"
    assert update["actor"]["requestId"] == changed.headers["x-request-id"]
    assert update["changes"] == [{"field": "status", "from": "active", "to": "disabled"}]
    assert update["time"] == changed.json["updatedAt"]
    assert create["actor"]["name"] == "admin"
    assert create["position"] < update["position"]
    assert {
        "field": "smtpConfig.auth.pass",
        "from": None,
        "to": "********",
        "secret": "changed",
    } in (create["changes"])
    assert CANARY not in answer.text
    assert "sealed:" not in answer.text


def test_pages_follow_each_other_without_gap_or_repeat(world: World) -> None:
    monitor = world.monitor()
    for number in range(6):
        world.admin.patch(path_of(monitor), {"name": f"Name {number}"})
    whole = history(world.admin, path_of(monitor)).json
    assert whole["next"] is None

    pages: list[list[int]] = []
    query: dict[str, str | int] = {}
    while True:
        answer = history(world.admin, path_of(monitor), limit=3, **query).json
        pages.append([each["version"] for each in answer["items"]])
        if answer["next"] is None:
            break
        query = {"before": answer["next"]}
        # What happens between two pages moves none.
        world.admin.patch(path_of(monitor), {"timeoutSeconds": 10 + len(pages)})

    assert pages == [[7, 6, 5], [4, 3, 2], [1]]
    assert history(world.admin, path_of(monitor), limit=9, before=1).json == {
        "items": [],
        "next": None,
    }


def test_a_limit_above_200_is_200_and_one_that_fits_has_no_next(world: World) -> None:
    monitor = world.monitor()
    assert history(world.admin, path_of(monitor), limit=1).json["next"] is None
    assert history(world.admin, path_of(monitor), limit=10**9).status_code == 200


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"limit": "0"}, "Invalid limit: must be a whole number from 1"),
        ({"limit": "x"}, "Invalid limit"),
        ({"before": "x"}, "Invalid before: must be a position of the log"),
        ({"before": "-1"}, "Invalid before"),
        ({"before": "1" * 30}, "Invalid before"),
        ({"before": 10**9}, "Invalid before: lies beyond the head of the log"),
    ],
)
def test_a_wrong_parameter_is_named(world: World, query: dict[str, str | int], says: str) -> None:
    answer = history(world.admin, path_of(world.monitor()), **query)

    assert (answer.status_code, answer.json["statusCode"]) == (400, 400)
    assert says in answer.json["message"]


def test_what_is_no_monitor_of_the_kind_has_no_history(world: World) -> None:
    monitor = world.monitor("smtp")
    customer = world.owners["own"].customer.id

    assert history(world.admin, f"{IMAP}/{monitor.id}").status_code == 404
    assert history(world.admin, f"{SMTP}/{customer}").status_code == 404
    assert history(world.admin, f"{SMTP}/nonsense").status_code == 400
