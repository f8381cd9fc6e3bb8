"""A walk over all routes of the API with all roles: what no row allows is refused.

The rows are written by hand: a new route fails until somebody says who may use it, and a role
that gets more than its row fails, too. Things are those of the caller's own organization.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, get_args

import pytest

from domain.actor import Role
from store.proving import log_proof
from tests.api.test_every_endpoint import OPERATIONS, QUERIES, body_of, path_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.api.world import World


pytestmark = pytest.mark.any_engine

ROLES: Final[tuple[Role, ...]] = get_args(Role)
OPEN: Final = frozenset({*ROLES, None})
"""Everyone, also without a token."""
READERS: Final = frozenset({"admin", "user", "readonly", "supporter", "operator"})
OVERSEERS: Final = frozenset({"admin", "supporter", "operator"})
WRITERS: Final = frozenset({"admin", "user"})
ADMINS: Final = frozenset({"admin"})
_MONITORS: Final = ("/api/smtp-monitors", "/api/imap-pop-monitors")
_ITEM: Final = "/{public_id}"

MAY: Final[Mapping[tuple[str, str], frozenset[str | None]]] = {
    **{
        ("GET", path): OPEN
        for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/docs/{name}")
    },
    ("GET", "/metrics"): frozenset({"operator", "metrics"}),
    **{
        ("GET", f"/api/logs/{{name}}/{what}"): frozenset({"operator"})
        for what in ("head", "inclusion", "consistency")
    },
    **{("GET", path): READERS for path in _MONITORS},
    **{("POST", path): WRITERS for path in _MONITORS},
    **{("GET", path + _ITEM): READERS for path in _MONITORS},
    **{("PATCH", path + _ITEM): WRITERS for path in _MONITORS},
    **{("DELETE", path + _ITEM): WRITERS for path in _MONITORS},
    **{
        ("GET", f"{path}{_ITEM}/{what}"): READERS
        for path in _MONITORS
        for what in (
            *("history", "check-history", "uptime", "incident-history", "alert-history", "details"),
        )
    },
    **{("POST", f"{path}{_ITEM}/trigger-check"): WRITERS for path in _MONITORS},
    ("GET", "/api/monitors"): READERS,
    ("GET", "/api/monitors/summary"): READERS,
    ("GET", "/api/incidents"): READERS,
    ("GET", "/api/incidents/{public_id}"): READERS,
    ("POST", "/api/incidents/{public_id}/acknowledge"): WRITERS,
    ("POST", "/api/incidents/{public_id}/close"): WRITERS,
    ("GET", "/api/events"): OVERSEERS,
    ("GET", "/api/customers"): READERS,
    ("POST", "/api/customers"): ADMINS,
    ("GET", "/api/customers/{identifier}"): READERS,
    ("PATCH", "/api/customers/{identifier}"): ADMINS,
    ("GET", "/api/organization"): READERS,
    ("GET", "/api/monitoring-locations"): READERS,
    ("GET", "/api/tags"): READERS,
    ("POST", "/api/tags"): WRITERS | {"readonly"},
    ("PATCH", "/api/tags/{identifier}"): ADMINS,
    ("DELETE", "/api/tags/{identifier}"): ADMINS,
    ("GET", "/api/maintenance-windows"): READERS,
    ("POST", "/api/maintenance-windows"): WRITERS | {"readonly"},
    ("GET", "/api/maintenance-windows/{identifier}"): READERS,
    ("PATCH", "/api/maintenance-windows/{identifier}"): WRITERS | {"readonly"},
    ("DELETE", "/api/maintenance-windows/{identifier}"): WRITERS | {"readonly"},
    ("GET", "/api/notification-channels"): READERS,
    ("POST", "/api/notification-channels"): WRITERS,
    ("PATCH", "/api/notification-channels/{identifier}"): WRITERS,
    ("DELETE", "/api/notification-channels/{identifier}"): WRITERS,
    ("GET", "/api/package-configs"): READERS,
    ("PATCH", "/api/package-configs/{package_type}"): ADMINS,
    ("DELETE", "/api/package-configs/{package_type}"): ADMINS,
    ("POST", "/api/monitor-tags"): WRITERS | {"readonly"},
    ("DELETE", "/api/monitor-tags"): WRITERS | {"readonly"},
    ("GET", "/api/organization/tokens"): ADMINS,
    ("POST", "/api/organization/tokens"): ADMINS,
    ("DELETE", "/api/organization/tokens/{number}"): ADMINS,
    ("GET", "/api/customer/tokens"): WRITERS,
    ("POST", "/api/customer/tokens"): WRITERS,
    ("DELETE", "/api/customer/tokens/{number}"): WRITERS,
}


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert set(MAY) == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("role", [*ROLES, None])
def test_a_role_may_use_a_route_only_if_its_row_says_so(
    world: World, role: Role | None, method: str, path: str
) -> None:
    proof = log_proof(world.store, "monitoring")
    proof.grow()
    proof.sign()
    caller = world.caller(role or "nobody")
    where, body = path_in(world, path), body_of(world, method, path)
    if body is not None:
        answer = caller.send(method, where, json.dumps(body))
    elif method == "DELETE":
        answer = caller.delete(where)
    else:
        answer = caller.get(where, **QUERIES.get(path.rpartition("/")[2], {}))

    if role in MAY[method, path]:
        assert answer.status_code in (200, 201, 204), answer.text
    elif role is None:
        assert answer.status_code == 401
    elif role == "metrics":
        # It sees no organization, so what one owns is not there for it.
        assert answer.status_code in (403, 404)
    else:
        assert answer.status_code == 403
