"""GET /api/monitors: the monitors of all kinds in one list, with what is known now (D-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from api.http.as_of import PARAMETER as AS_OF
from api.http.errors import InvalidParameterError
from api.http.execution import Cost
from api.http.operation import costs
from api.http.parameters import read_page, whole_number
from api.http.permissions import Action, Principal, require
from api.http.scope import asked_customer, asked_organization
from api.openapi.operations import DocumentedOperation, json_answer, query
from api.openapi.parameters import PAGE
from api.openapi.resource import Resource, Route, Tag
from api.openapi.responses import MONITOR_SCHEMAS, STATE_SCHEMAS, page_of
from api.openapi.vocabulary import (
    closed,
    identifier_in_text,
)
from domain.kinds import KINDS
from domain.monitor_state import STATES
from domain.suggestions import unknown_name
from projections.readers.states import SORT_KEYS, StateFilter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import falcon

    from api.http.fields import Schema
    from api.resources.parts import Parts
    from domain.kinds import Kind
    from domain.monitor_state import MonitorState
    from projections.readers.monitors import MonitorReader
    from projections.readers.states import SortKey, StateReader


_DEEP_PAGE: Final = 20
"""Later pages of a list are costly: the store counts its way to them."""

STATE_TAG: Final = Tag("State", "What is down now, since when and why.")


def _cost(req: falcon.Request) -> Cost:
    """Return the cost of a list. What no index has in its order is sorted by the store."""
    is_simple = not req.has_param("search") and not needs_sorting(req)
    is_deep = (whole_number(req.get_param("page") or "1") or 0) > _DEEP_PAGE
    return Cost.SHORT_READ if is_simple and not is_deep else Cost.COSTLY_READ


def needs_sorting(req: falcon.Request) -> bool:
    """Return whether no index has the monitors of a query in its order."""
    principal: Principal = req.context.principal
    sort = (req.get_param("sort") or "id").removeprefix("-")
    is_of_customer = req.has_param("customerId") or principal.customer_id is not None
    is_one_of_many = "," in (req.get_param("state") or "")
    return (
        is_one_of_many
        or (sort == "name" and req.has_param("state"))
        or (sort in {"name", "stateSince"} and is_of_customer)
    )


def is_by_state(req: falcon.Request) -> bool:
    """Return whether a query on a list needs the states; the past has none. Raises 400."""
    asked = [name for name in ("state", "sort") if req.has_param(name)]
    if asked and req.has_param(AS_OF):
        raise InvalidParameterError(asked[0], f"cannot be combined with {AS_OF}")
    return bool(asked)


class AllMonitors:
    """GET of the list."""

    def __init__(self, reader: MonitorReader, states: StateReader) -> None:
        self._reader = reader
        self._states = states

    @costs(_cost)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List monitors of all kinds."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_MONITOR)
        page, per_page = read_page(req)
        sort, is_descending = read_sort(req)
        kind, states = read_kind(req), read_states(req)
        organization_id, customer_id = read_owner(req, principal, self._reader)
        found = self._states.monitors(
            StateFilter(
                organization_id=organization_id,
                customer_id=customer_id,
                kind=kind,
                search=req.get_param("search"),
                states=states,
                sort=sort,
                is_descending=is_descending,
            ),
            page,
            per_page,
        )
        resp.data = orjson.dumps(
            {
                "items": orjson.Fragment(found.items),
                "total": found.total,
                "page": page,
                "perPage": per_page,
            }
        )


def read_owner(
    req: falcon.Request, principal: Principal, reader: MonitorReader
) -> tuple[str, str | None]:
    """Return whose monitors a query asks for: organization and customer. Raises 400, 403, 404."""
    organization = asked_organization(req, principal, reader)
    customer = asked_customer(req, principal, reader)
    organization_id = organization["public_id"] if organization else principal.organization_id
    if customer is not None and customer["organization_id"] != organization_id:
        raise InvalidParameterError("customerId", "is of another organization")
    return organization_id, customer["public_id"] if customer else principal.customer_id


def read_states(req: falcon.Request) -> Sequence[MonitorState] | None:
    """Return the states that a query names, in a list with commas. Raises 400."""
    asked = req.get_param_as_list("state")
    if asked is None:
        return None
    found: dict[MonitorState, None] = {}
    by_name: dict[str, MonitorState] = {each: each for each in STATES}
    for name in ",".join(asked).split(","):
        if name not in by_name:
            raise InvalidParameterError("state", _unknown(name, STATES, "state"))
        found[by_name[name]] = None
    return list(found)


def read_kind(req: falcon.Request) -> Kind | None:
    """Return the kind that a query names. Raises 400."""
    name = req.get_param("monitorType")
    if name is None:
        return None
    if name not in KINDS:
        raise InvalidParameterError("monitorType", _unknown(name, KINDS, "type"))
    return KINDS[name].name


def read_sort(req: falcon.Request) -> tuple[SortKey, bool]:
    """Return the key of the order that a query names, and whether it descends. Raises 400."""
    text = req.get_param("sort") or "id"
    by_name: dict[str, SortKey] = {each: each for each in SORT_KEYS}
    key = by_name.get(text.removeprefix("-"))
    if key is None:
        message = _unknown(text.removeprefix("-"), SORT_KEYS, "sort key")
        raise InvalidParameterError("sort", message)
    return key, text.startswith("-")


def _unknown(name: str, known: Any, what: str) -> str:  # noqa: ANN401 - names in any collection
    """Return what is wrong with a name; all known ones follow, as they are few."""
    return f"{unknown_name(name, known, what)}; known are {', '.join(known)}"


_KEYS: Final = (
    "id",
    "publicId",
    "organizationId",
    "customerId",
    "customerName",
    "name",
    "hostname",
    "port",
    "status",
    "checkInterval",
    "timeoutSeconds",
    "lastCheckedAt",
    "createdAt",
    "updatedAt",
)
STATE_PARAMETERS: Final = (
    query(
        "state",
        {"type": "string", "examples": ["down", "down,suspicious"]},
        f"Only monitors in this state, or in one of several with commas: {', '.join(STATES)}.",
    ),
    query(
        "sort",
        {
            "type": "string",
            "enum": [sign + each for each in SORT_KEYS for sign in ("", "-")],
            "default": "id",
        },
        "The order; a leading `-` turns it round. `state` begins with what is down.",
    ),
)
SEARCH: Final = query(
    "search",
    {"type": "string"},
    "A part of the monitor's name, its hostname or its customer's name.",
)
OWNER_PARAMETERS: Final = (
    query(
        "organizationId",
        identifier_in_text("The organization"),
        "Default: the token's organization.",
    ),
    query("customerId", identifier_in_text("The customer"), "Only this customer's."),
)


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/api/monitors",
        name="listAllMonitors",
        tag=STATE_TAG.name,
        summary="List monitors of all kinds",
        description="With what is known now of each; a change of state shows within a second.",
        parameters=(
            *OWNER_PARAMETERS,
            query(
                "monitorType",
                {"type": "string", "enum": list(KINDS)},
                "Only monitors of this kind.",
            ),
            SEARCH,
            *STATE_PARAMETERS,
            *PAGE,
        ),
        answers={200: json_answer("A page", "AllMonitorsPage", example="list_all_monitors")},
        errors=(400, 403, 404),
    )


def _schemas() -> Schema:
    keys = {key: MONITOR_SCHEMAS[key] for key in _KEYS}
    before = ("id", "publicId")
    shape = {
        **{key: keys.pop(key) for key in before},
        "monitorType": {"type": "string", "enum": list(KINDS)},
        **{key: keys.pop(key) for key in tuple(keys) if not key.endswith("At")},
        **STATE_SCHEMAS,
        **keys,
    }
    return {
        "MonitorOfAnyKind": closed(shape),
        "AllMonitorsPage": page_of("MonitorOfAnyKind"),
    }


def _routes(parts: Parts) -> Iterator[Route]:
    yield Route("/api/monitors", AllMonitors(parts.reader, parts.views.states))


RESOURCE: Final = Resource(
    routes=_routes, operations=_operations, schemas=_schemas, tags=(STATE_TAG,)
)
