"""The endpoints of both kinds of monitors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api.openapi.operations import Operation, json_answer, path_parameter, query
from api.openapi.problems import BODY_ERRORS
from api.openapi.responses import list_name, monitor_name
from api.openapi.vocabulary import UUID, identifier, ref
from api.paging import DEFAULTS, MAX_PAGE, MAX_PER_PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from api.fields import Schema
    from domain.mail_config import Kind

_MAX_QUERY_NUMBER: Final = 10**18 - 1


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


def page_parameters() -> tuple[Schema, ...]:
    """Return the parameters of a list with pages."""
    number = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}
    return (
        query("page", {**number, "default": DEFAULTS["page"]}, "Which page, from 1."),
        query(
            "perPage",
            {**number, "default": DEFAULTS["perPage"]},
            f"How many a page; more than {MAX_PER_PAGE} is {MAX_PER_PAGE}.",
        ),
    )


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
                identifier("The organization", _MAX_QUERY_NUMBER),
                "Default: the token's organization.",
            ),
            query(
                "customerId", identifier("The customer", _MAX_QUERY_NUMBER), "Only this customer's."
            ),
            query(
                "search",
                {"type": "string"},
                "A part of the monitor's name, its hostname or its customer's name.",
            ),
            *page_parameters(),
        ),
        answers={
            200: json_answer("A page", list_name(kind), example=f"list_{words.snake}s"),
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
        body=ref(body_name("Create", kind)),
        example=f"create_{words.snake}",
        answers={
            201: json_answer(
                "The monitor",
                monitor_name(kind, "written"),
                headers={"Location": ref("Location", "headers")},
                links=_links(words),
                example=f"create_{words.snake}",
            )
        },
        errors=(*BODY_ERRORS, 403, 404),
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
        parameters=(public_id,),
        answers={
            200: json_answer(
                "The monitor", monitor_name(kind, "read"), example=f"get_{words.snake}"
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
        parameters=(public_id,),
        body=ref(body_name("Update", kind)),
        example=f"update_{words.snake}",
        answers={
            200: json_answer(
                "The monitor", monitor_name(kind, "written"), example=f"update_{words.snake}"
            )
        },
        errors=(*BODY_ERRORS, 403, 404, 409),
    )
    yield Operation(
        method="delete",
        path=path,
        name=f"delete{words.name}",
        tag=words.tag,
        summary="Delete a monitor",
        description="Its history stays, its secret is destroyed.",
        parameters=(public_id,),
        answers={200: json_answer("It is deleted", "Success")},
        errors=(400, 403, 404, 409),
    )


def _links(words: _Words) -> Schema:
    """Return where one goes from a new monitor."""
    return {
        action: {
            "operationId": f"{action}{words.name}",
            "parameters": {"public_id": "$response.body#/publicId"},
        }
        for action in ("get", "update", "delete")
    }
