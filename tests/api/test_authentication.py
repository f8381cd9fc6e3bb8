"""Who gets in: bearer tokens, and what is refused with 401."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import falcon
import falcon.asgi
import pytest
from falcon.testing import TestClient, create_asgi_req

from api.http.authentication import Authentication
from domain.commands import IssueToken
from tests.api.world import SMTP, Caller, Persona
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from tests.api.world import World


@pytest.mark.parametrize("persona", ["nobody", "unknown", "expired", "revoked"])
def test_without_a_valid_token_the_answer_is_401_with_a_challenge(
    world: World, persona: Persona
) -> None:
    answer = world.caller(persona).get(SMTP)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json["statusMessage"] == "Unauthorized"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic d3NtX2FkbWluOng=",
        "wsm_admin",
        "Bearer admin",
        "Bearer WSM_admin",
        "Bearer wsm_é",
        "Token wsm_admin",
    ],
)
def test_another_credential_is_401(world: World, header: str) -> None:
    client = TestClient(world.app)

    answer = client.simulate_get(SMTP, headers={"Authorization": header})

    assert answer.status_code == 401
    assert "admin" not in answer.json["message"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_without_regard_to_case(world: World, scheme: str) -> None:
    client = TestClient(world.app)
    header = f"{scheme}  {world.tokens['admin']} "

    assert client.simulate_get(SMTP, headers={"Authorization": header}).status_code == 200


def test_a_token_is_refused_from_its_expiry_on(world: World) -> None:
    token, expiry = f"wsm_{'e' * 40}", "2026-06-01T00:00:00.000Z"
    organization = world.owners["own"].organization.id
    command = IssueToken(organization, None, "Short", "user", token, expiry)
    world.store.monitoring.issue_token(command, TESTER)
    world.views.projector("monitors").catch_up()

    def enter(now: datetime) -> falcon.Request:
        request = create_asgi_req(path=SMTP, headers={"Authorization": f"Bearer {token}"})
        reader = world.views.reader
        Authentication(reader, lambda: now).check(request, falcon.asgi.Response())
        return request

    just_before = datetime(2026, 5, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    assert enter(just_before).context.principal.name == "Short"
    with pytest.raises(falcon.HTTPUnauthorized):
        enter(datetime(2026, 6, 1, tzinfo=UTC))


def test_a_token_that_is_revoked_is_refused_at_the_next_request(world: World) -> None:
    token = f"wsm_{'r' * 40}"
    organization = world.owners["own"].organization.id
    issued = world.store.monitoring.issue_token(
        IssueToken(organization, None, "Leaver", "user", token), TESTER
    )
    caller = Caller(world.app, token)
    world.views.projector("monitors").catch_up()
    assert caller.get(SMTP).status_code == 200

    world.store.monitoring.revoke_token(issued.id, TESTER)
    world.views.projector("monitors").catch_up()

    assert caller.get(SMTP).status_code == 401


def test_an_event_tells_who_did_it_and_in_which_request(world: World, admin: Caller) -> None:
    answer = admin.post(SMTP, world.body())

    created = world.history(answer.json["publicId"])[0]

    assert created.actor == {
        "type": "token",
        "id": created.actor["id"],
        "name": "admin",
        "role": "admin",
        "request_id": answer.headers["x-request-id"],
    }
    assert str(world.tokens["admin"]) not in repr(created)


def test_health_needs_no_token(world: World) -> None:
    answer = world.caller("nobody").get("/healthz")

    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


def test_an_unknown_path_needs_a_token_before_it_is_404(world: World) -> None:
    assert world.caller("nobody").get("/api/secrets").status_code == 401
    assert world.admin.get("/api/secrets").status_code == 404
