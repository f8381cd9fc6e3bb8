"""Who may do what with customers, tokens, histories, the organization and the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from api.http.permissions import ALLOWED, Action
from domain.actor import INSTALLATION_ROLES, ROLES
from tests.api.world import Persona, Whose, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falcon.testing import Result

    from tests.api.world import Caller, World


pytestmark = pytest.mark.any_engine

CUSTOMERS = "/api/customers"
ORGANIZATION = "/api/organization/tokens"
CUSTOMER = "/api/customer/tokens"
ENDPOINTS: Final = (
    *("read customer", "change customer", "check history"),
    *("customer token", "revoke customer token", "organization token", "revoke organization token"),
)

# The columns are ENDPOINTS. Tokens are made for, and revoked of, the customer in question.
# A customer in the body that does not exist for the caller is 400, as the pages say.
_ALL: Final = (200, 200, 200, 201, 200, 201, 200)
_USER: Final = (200, 403, 200, 201, 200, 403, 403)
_READER: Final = (200, 403, 200, 403, 403, 403, 403)
_OUTSIDE: Final = (403, 403, 403, 403, 403, 403, 403)
EXPECTED: Final[Mapping[Persona, Mapping[Whose, tuple[int, ...]]]] = {
    "admin": {"own": _ALL, "other": _ALL, "foreign": (404, 404, 404, 400, 404, 400, 404)},
    "user": {"own": _USER, "other": _USER, "foreign": (404, 404, 404, 400, 404, 403, 403)},
    "scoped_admin": {
        "own": (200, 200, 200, 201, 200, 403, 403),
        "other": _OUTSIDE,
        "foreign": (404, 404, 404, 400, 404, 403, 403),
    },
    "scoped_user": {
        "own": _USER,
        "other": _OUTSIDE,
        "foreign": (404, 404, 404, 400, 404, 403, 403),
    },
    "readonly": {"own": _READER, "other": _READER, "foreign": (404, 404, 404, *_OUTSIDE[3:])},
    "scoped_readonly": {
        "own": _READER,
        "other": _OUTSIDE,
        "foreign": (404, 404, 404, *_OUTSIDE[3:]),
    },
    "supporter": {"own": _READER, "other": _READER, "foreign": _READER},
    "operator": {"own": _READER, "other": _READER, "foreign": _READER},
    "metrics": dict.fromkeys(("own", "other", "foreign"), (404, 404, 404, *_OUTSIDE[3:])),
    "stranger": {
        "own": (404, 404, 404, 400, 404, 400, 404),
        "other": (404, 404, 404, 400, 404, 400, 404),
        "foreign": _ALL,
    },
    **{
        persona: dict.fromkeys(("own", "other", "foreign"), (401,) * len(ENDPOINTS))
        for persona in ("expired", "revoked", "unknown", "nobody")
    },
}
CASES: Final = [
    (persona, whose, endpoint, status)
    for persona, rows in EXPECTED.items()
    for whose, statuses in rows.items()
    for endpoint, status in zip(ENDPOINTS, statuses, strict=True)
]
# The columns: make a customer, list customers, list tokens of both URL families, read the
# organization, the locations and the numbers. These have no owner but the caller's own.
WITHOUT_OWNER: Final[Mapping[Persona, tuple[int, ...]]] = {
    "admin": (201, 200, 200, 200, 200, 200, 403),
    "user": (403, 200, 403, 200, 200, 200, 403),
    "scoped_admin": (403, 200, 403, 200, 200, 200, 403),
    "scoped_user": (403, 200, 403, 200, 200, 200, 403),
    "readonly": (403, 200, 403, 403, 200, 200, 403),
    "scoped_readonly": (403, 200, 403, 403, 200, 200, 403),
    "supporter": (403, 200, 403, 403, 200, 200, 403),
    "operator": (403, 200, 403, 403, 200, 200, 200),
    "metrics": (403, 403, 403, 403, 403, 403, 200),
    "stranger": (201, 200, 200, 200, 200, 200, 403),
    "nobody": (401,) * 7,
    "expired": (401,) * 7,
    "revoked": (401,) * 7,
    "unknown": (401,) * 7,
}


def token_of(world: World, whose: Whose) -> int:
    """Issue a token for a customer, by its own organization's admin."""
    owner = world.caller("stranger" if whose == "foreign" else "admin")
    made = owner.post(ORGANIZATION, token_body(world, whose))
    number: int = made.json["id"]
    return number


def token_body(world: World, whose: Whose) -> dict[str, object]:
    return {"name": "Name", "customerId": str(world.owners[whose].customer.id), "role": "readonly"}


def call(world: World, caller: Caller, endpoint: str, whose: Whose) -> Result:
    customer = f"{CUSTOMERS}/{world.owners[whose].customer.id}"
    match endpoint:
        case "read customer":
            return caller.get(customer)
        case "change customer":
            return caller.patch(customer, {"customFields": {"changed": True}})
        case "check history":
            return caller.get(f"{path_of(world.monitor('smtp', whose))}/check-history")
        case "customer token":
            return caller.post(CUSTOMER, token_body(world, whose))
        case "organization token":
            return caller.post(ORGANIZATION, token_body(world, whose))
        case _:
            path = CUSTOMER if "customer" in endpoint else ORGANIZATION
            return caller.delete(f"{path}/{token_of(world, whose)}")


def what_is_recorded(world: World, persona: Persona) -> int:
    """Return how many events there are, after a use of the persona's token was recorded."""
    world.caller(persona).get("/api/organization")
    recorder = world.store.monitoring.recorder
    return recorder.max_notification_id() or 0


@pytest.mark.parametrize(("persona", "whose", "endpoint", "status"), CASES)
def test_each_role_may_do_exactly_what_the_table_says(
    world: World, persona: Persona, whose: Whose, endpoint: str, status: int
) -> None:
    answer = call(world, world.caller(persona), endpoint, whose)

    assert answer.status_code == status
    if status >= 400:
        assert answer.json["statusCode"] == status


@pytest.mark.parametrize("endpoint", ["change customer", "customer token", "organization token"])
@pytest.mark.parametrize("persona", ["readonly", "scoped_user", "supporter", "stranger", "nobody"])
def test_what_is_refused_records_nothing(world: World, persona: Persona, endpoint: str) -> None:
    before = what_is_recorded(world, persona)

    answer = call(world, world.caller(persona), endpoint, "other")

    assert answer.status_code >= 400
    assert what_is_recorded(world, persona) == before


@pytest.mark.parametrize(("persona", "statuses"), WITHOUT_OWNER.items())
def test_what_has_no_owner_goes_by_the_role(
    world: World, persona: Persona, statuses: tuple[int, ...]
) -> None:
    caller = world.caller(persona)

    answers = (
        caller.post(CUSTOMERS, {"name": "Name"}),
        caller.get(CUSTOMERS),
        caller.get(ORGANIZATION),
        caller.get(CUSTOMER),
        caller.get("/api/organization"),
        caller.get("/api/monitoring-locations"),
        caller.get("/metrics"),
    )

    assert tuple(each.status_code for each in answers) == statuses


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs"])
@pytest.mark.parametrize("persona", ["nobody", "expired", "readonly"])
def test_anyone_may_ask_what_is_open(world: World, persona: Persona, path: str) -> None:
    assert world.caller(persona).get(path).status_code == 200


def test_the_table_of_roles_names_every_action_and_known_roles_only() -> None:
    assert ALLOWED.keys() == set(Action)
    assert set().union(*ALLOWED.values()) == set(ROLES)
    for role in INSTALLATION_ROLES:
        assert not any(role in ALLOWED[each] for each in Action if "read" not in each.value)
    assert [each for each in Action if "metrics" in ALLOWED[each]] == [Action.READ_METRICS]


def test_customer_tokens_do_not_revoke_the_organizations_own_tokens(world: World) -> None:
    wide = world.admin.post(ORGANIZATION, {"name": "For all"}).json["id"]

    for persona in ("admin", "user", "scoped_user"):
        assert world.caller(persona).delete(f"{CUSTOMER}/{wide}").status_code == 403
    assert world.admin.delete(f"{ORGANIZATION}/{wide}").status_code == 200
