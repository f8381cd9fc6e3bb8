"""Of several things wrong with a request, the one that is reported first.

401, path id 400, 404, scope 403, role 403, body 400. Each request below has the named
fault and every fault that comes after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.api.world import IMAP, PATHS, SMTP, path_of

if TYPE_CHECKING:
    from tests.api.world import World


WRONG_BODY = {"name": "", "hostname": "https://example.com/", "unknown": 1}
KINDS = ["smtp", "imap_pop"]


@pytest.mark.parametrize("path", [SMTP, IMAP])
def test_a_caller_without_a_token_learns_nothing_of_the_path_id(world: World, path: str) -> None:
    answer = world.caller("nobody").patch(f"{path}/not-a-uuid", WRONG_BODY)

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (SMTP, "SMTP monitor public ID (UUID) required"),
        (IMAP, "IMAP/POP monitor public ID (UUID) required"),
    ],
)
@pytest.mark.parametrize(
    "public_id",
    [
        "200",
        "not-a-uuid",
        "33333333333343338333333333333333",
        "{33333333-3333-4333-8333-333333333333}",
        "33333333-3333-4333-8333-33333333333g",
        "%ED%A0%80",
    ],
)
def test_a_path_id_that_is_no_uuid_comes_before_role_and_body(
    world: World, path: str, message: str, public_id: str
) -> None:
    answer = world.caller("supporter").patch(f"{path}/{public_id}", WRONG_BODY)

    assert (answer.status_code, answer.json["message"]) == (400, message)


@pytest.mark.parametrize(
    ("path", "message"), [(SMTP, "Not found"), (IMAP, "IMAP/POP monitor not found")]
)
def test_a_missing_monitor_comes_before_role_and_body(
    world: World, path: str, message: str
) -> None:
    for method in (world.caller("supporter").get, world.caller("supporter").delete):
        assert method(f"{path}/{uuid4()}").status_code == 404

    answer = world.caller("supporter").patch(f"{path}/{uuid4()}", WRONG_BODY)

    assert (answer.status_code, answer.json["message"]) == (404, message)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scope_comes_before_the_role_and_the_body(world: World, kind: str) -> None:
    monitor = world.monitor(kind, "other")

    answer = world.caller("scoped_readonly").patch(path_of(monitor), WRONG_BODY)

    assert answer.status_code == 403
    assert answer.json["message"] == "The monitor is outside the token's customer"


@pytest.mark.parametrize("kind", KINDS)
def test_the_role_comes_before_the_body(world: World, kind: str) -> None:
    path = path_of(world.monitor(kind))

    assert world.caller("readonly").patch(path, WRONG_BODY).status_code == 403
    assert world.caller("supporter").patch(path, WRONG_BODY).status_code == 403
    assert world.caller("supporter").send("PATCH", path, "{").status_code == 403
    assert world.caller("readonly").post(PATHS[kind], WRONG_BODY).status_code == 403


@pytest.mark.parametrize("kind", KINDS)
def test_the_body_comes_before_the_customer_that_it_names(world: World, kind: str) -> None:
    body = world.body(kind, "foreign", port=0)

    answer = world.admin.post(PATHS[kind], body)

    assert answer.status_code == 400
    assert [each["path"] for each in answer.json["errors"]] == ["port"]


def test_an_upper_case_path_id_is_the_same_monitor(world: World) -> None:
    monitor = world.monitor("smtp")

    answer = world.admin.get(f"{SMTP}/{str(monitor.id).upper()}")

    assert answer.json["publicId"] == str(monitor.id)
