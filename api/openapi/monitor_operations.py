"""The endpoints of both kinds of monitors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api.http.as_of import HEADER
from api.http.fields import UUID
from api.openapi.audit_operations import BEFORE
from api.openapi.check_responses import history_name
from api.openapi.operations import Operation, json_answer, path_parameter, query
from api.openapi.parameters import AS_OF, IDEMPOTENCY_KEY, IF_MATCH, LIMIT, PAGE
from api.openapi.problems import BODY_ERRORS
from api.openapi.responses import list_name, monitor_name
from api.openapi.vocabulary import identifier_in_text, ref

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from api.http.fields import Schema
    from domain.mail_config import Kind


_ENTITY_TAG: Final = {"ETag": ref("EntityTag", "headers")}
_AS_OF: Final = {HEADER: ref("AsOfPosition", "headers")}


@dataclass(frozen=True, slots=True)
class _Words:
    """How a kind is called in names, tags and texts."""

    name: str
    tag: str
    path: str
    snake: str


_WORDS: Final[Mapping[Kind, _Words]] = {
    "smtp": _Words("SmtpMonitor", "SMTP monitors", "/api/smtp-monitors", "smtp_monitor"),
    "imap_pop": _Words(
        "ImapPopMonitor", "IMAP/POP monitors", "/api/imap-pop-monitors", "imap_pop_monitor"
    ),
}


def operations() -> Iterator[Operation]:
    """Return the endpoints of every kind."""
    for kind in _WORDS:
        yield from _collection(kind)
        yield from _item(kind)


def body_name(action: str, kind: Kind) -> str:
    """Return the component's name of a body."""
    return f"{action}{_WORDS[kind].name}"


def _collection(kind: Kind) -> Iterator[Operation]:
    words = _WORDS[kind]
    yield Operation(
        method="get",
        path=words.path,
        name=f"list{words.name}s",
        tag=words.tag,
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
                "A page", list_name(kind), headers=_AS_OF, example=f"list_{words.snake}s"
            ),
        },
        errors=(400, 403, 404),
    )
    yield Operation(
        method="post",
        path=words.path,
        name=f"create{words.name}",
        tag=words.tag,
        summary="Create a monitor",
        description="It is checked at once. The answer shows the secret that was sent.",
        parameters=(IDEMPOTENCY_KEY,),
        body=ref(body_name("Create", kind)),
        example=f"create_{words.snake}",
        answers={
            201: json_answer(
                "The monitor",
                monitor_name(kind, "written"),
                headers={"Location": ref("Location", "headers"), **_ENTITY_TAG},
                links=_links(words),
                example=f"create_{words.snake}",
            )
        },
        errors=(*BODY_ERRORS, 403, 404, 409),
    )


def _item(kind: Kind) -> Iterator[Operation]:
    words = _WORDS[kind]
    path = words.path + "/{public_id}"
    public_id = path_parameter("public_id", UUID, "The monitor's `publicId`.")
    yield Operation(
        method="get",
        path=path,
        name=f"get{words.name}",
        tag=words.tag,
        summary="Show a monitor",
        description="Secrets are masked.",
        parameters=(public_id, AS_OF),
        answers={
            200: json_answer(
                "The monitor",
                monitor_name(kind, "read"),
                headers={**_ENTITY_TAG, **_AS_OF},
                example=f"get_{words.snake}",
            )
        },
        errors=(400, 403, 404),
    )
    yield Operation(
        method="patch",
        path=path,
        name=f"update{words.name}",
        tag=words.tag,
        summary="Change a monitor",
        description="A key that is absent is unchanged; null clears. A token of the role "
        "`readonly` may send `status` and nothing else. A change of nothing records nothing.",
        parameters=(public_id, IF_MATCH),
        body=ref(body_name("Update", kind)),
        example=f"update_{words.snake}",
        answers={
            200: json_answer(
                "The monitor",
                monitor_name(kind, "written"),
                headers=_ENTITY_TAG,
                example=f"update_{words.snake}",
            )
        },
        errors=(*BODY_ERRORS, 403, 404, 409, 412),
    )
    yield Operation(
        method="delete",
        path=path,
        name=f"delete{words.name}",
        tag=words.tag,
        summary="Delete a monitor",
        description="Its history stays, its secret is destroyed.",
        parameters=(public_id, IF_MATCH),
        answers={200: json_answer("It is deleted", "Success")},
        errors=(400, 403, 404, 409, 412),
    )
    yield Operation(
        method="get",
        path=path + "/history",
        name=f"get{words.name}History",
        tag=words.tag,
        summary="Show who changed what of a monitor",
        description="Newest first. Secrets are shown as changed, never what they are. The history "
        "of a deleted monitor is for the roles `admin` and `supporter`.",
        parameters=(public_id, BEFORE, LIMIT),
        answers={
            200: json_answer("The events", "MonitorHistory", example=f"{words.snake}_history")
        },
        errors=(400, 403, 404),
    )
    yield Operation(
        method="get",
        path=path + "/check-history",
        name=f"get{words.name}CheckHistory",
        tag=words.tag,
        summary="Show the newest checks of a monitor",
        description="From all locations, newest first.",
        parameters=(public_id, LIMIT),
        answers={
            200: json_answer(
                "The checks", history_name(kind), example=f"{words.snake}_check_history"
            )
        },
        errors=(400, 403, 404),
    )


def _links(words: _Words) -> Schema:
    """Return where one goes from a new monitor."""
    names = [f"{action}{words.name}" for action in ("get", "update", "delete")]
    return {
        name: {"operationId": name, "parameters": {"public_id": "$response.body#/publicId"}}
        for name in (*names, f"get{words.name}History", f"get{words.name}CheckHistory")
    }
