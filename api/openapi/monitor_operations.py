"""The endpoints of both kinds of monitors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.as_of import HEADER
from api.http.fields import UUID
from api.openapi import names
from api.openapi.audit_operations import BEFORE
from api.openapi.operations import Operation, json_answer, path_parameter, query
from api.openapi.parameters import AS_OF, IDEMPOTENCY_KEY, IF_MATCH, LIMIT, PAGE
from api.openapi.problems import BODY_ERRORS
from api.openapi.vocabulary import identifier_in_text, ref
from domain.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.http.fields import Schema
    from domain.kinds import MonitorKind


_ENTITY_TAG: Final = {"ETag": ref("EntityTag", "headers")}
_AS_OF: Final = {HEADER: ref("AsOfPosition", "headers")}


def operations() -> Iterator[Operation]:
    """Return the endpoints of every kind."""
    for kind in KINDS.values():
        yield from _collection(kind)
        yield from _item(kind)


def _collection(kind: MonitorKind) -> Iterator[Operation]:
    yield Operation(
        method="get",
        path=kind.path,
        name=f"list{names.monitor(kind)}s",
        tag=names.tag(kind),
        summary="List monitors",
        description="By number, in pages. Secrets are masked.",
        parameters=(
            query(
                "organizationId",
                identifier_in_text("The organization"),
                "Default: the token's organization.",
            ),
            query("customerId", identifier_in_text("The customer"), "Only this customer's."),
            query(
                "search",
                {"type": "string"},
                "A part of the monitor's name, its hostname or its customer's name.",
            ),
            *PAGE,
            AS_OF,
        ),
        answers={
            200: json_answer(
                "A page", names.page(kind), headers=_AS_OF, example=f"list_{names.example(kind)}s"
            ),
        },
        errors=(400, 403, 404),
    )
    yield Operation(
        method="post",
        path=kind.path,
        name=f"create{names.monitor(kind)}",
        tag=names.tag(kind),
        summary="Create a monitor",
        description="It is checked at once. The answer shows the secret that was sent.",
        parameters=(IDEMPOTENCY_KEY,),
        body=ref(names.body("Create", kind)),
        example=f"create_{names.example(kind)}",
        answers={
            201: json_answer(
                "The monitor",
                names.monitor(kind, "written"),
                headers={"Location": ref("Location", "headers"), **_ENTITY_TAG},
                links=_links(kind),
                example=f"create_{names.example(kind)}",
            )
        },
        errors=(*BODY_ERRORS, 403, 404, 409),
    )


def _item(kind: MonitorKind) -> Iterator[Operation]:
    path, example = kind.path + "/{public_id}", names.example(kind)
    public_id = path_parameter("public_id", UUID, "The monitor's `publicId`.")
    yield Operation(
        method="get",
        path=path,
        name=f"get{names.monitor(kind)}",
        tag=names.tag(kind),
        summary="Show a monitor",
        description="Secrets are masked.",
        parameters=(public_id, AS_OF),
        answers={
            200: json_answer(
                "The monitor",
                names.monitor(kind),
                headers={**_ENTITY_TAG, **_AS_OF},
                example=f"get_{names.example(kind)}",
            )
        },
        errors=(400, 403, 404),
    )
    yield Operation(
        method="patch",
        path=path,
        name=f"update{names.monitor(kind)}",
        tag=names.tag(kind),
        summary="Change a monitor",
        description="A key that is absent is unchanged; null clears. A token of the role "
        "`readonly` may send `status` and nothing else. A change of nothing records nothing.",
        parameters=(public_id, IF_MATCH),
        body=ref(names.body("Update", kind)),
        example=f"update_{names.example(kind)}",
        answers={
            200: json_answer(
                "The monitor",
                names.monitor(kind, "written"),
                headers=_ENTITY_TAG,
                example=f"update_{names.example(kind)}",
            )
        },
        errors=(*BODY_ERRORS, 403, 404, 409, 412),
    )
    yield Operation(
        method="delete",
        path=path,
        name=f"delete{names.monitor(kind)}",
        tag=names.tag(kind),
        summary="Delete a monitor",
        description="Its history stays, its secret is destroyed.",
        parameters=(public_id, IF_MATCH),
        answers={200: json_answer("It is deleted", "Success")},
        errors=(400, 403, 404, 409, 412),
    )
    yield Operation(
        method="get",
        path=path + "/history",
        name=f"get{names.monitor(kind)}History",
        tag=names.tag(kind),
        summary="Show who changed what of a monitor",
        description="Newest first. Secrets are shown as changed, never what they are. The history "
        "of a deleted monitor is for the roles `admin`, `supporter` and `operator`.",
        parameters=(public_id, BEFORE, LIMIT),
        answers={200: json_answer("The events", "MonitorHistory", example=f"{example}_history")},
        errors=(400, 403, 404),
    )
    yield Operation(
        method="get",
        path=path + "/check-history",
        name=f"get{names.monitor(kind)}CheckHistory",
        tag=names.tag(kind),
        summary="Show the newest checks of a monitor",
        description="From all locations, newest first.",
        parameters=(public_id, LIMIT),
        answers={
            200: json_answer(
                "The checks",
                names.check_history(kind),
                example=f"{example}_check_history",
            )
        },
        errors=(400, 403, 404),
    )


def _links(kind: MonitorKind) -> Schema:
    """Return the links from the answer of a create to the other endpoints of the monitor."""
    monitor = names.monitor(kind)
    actions = [f"{action}{monitor}" for action in ("get", "update", "delete")]
    return {
        name: {"operationId": name, "parameters": {"public_id": "$response.body#/publicId"}}
        for name in (*actions, f"get{monitor}History", f"get{monitor}CheckHistory")
    }
