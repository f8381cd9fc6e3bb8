"""The endpoints of access tokens (contract part B, 6; Q-24).

Two URL families show the same tokens: `/api/organization/tokens` all of an organization,
`/api/customer/tokens` those of its customers only. A caller issues no token with a role
above that of its own token; tokens of global supporters are issued on the command line only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final
from uuid import UUID

import falcon

from api.http.body import read_object
from api.http.errors import InvalidParameterError, invalid
from api.http.execution import Cost
from api.http.fields import (
    NUMBER,
    Body,
    Name,
    Parsed,
    RequestBody,
    Schema,
    choice,
    parse_identifier,
)
from api.http.fields import UUID as UUID_TEXT
from api.http.operation import costs
from api.http.parameters import query_identifier, whole_number
from api.http.permissions import Action, Principal, require
from api.http.preconditions import idempotency_key
from api.http.read_your_writes import catch_up
from api.http.scope import referenced
from api.openapi.operations import DocumentedOperation, json_answer, path_parameter, query
from api.openapi.parameters import IDEMPOTENCY_KEY
from api.openapi.problems import BODY_ERRORS
from api.openapi.resource import Resource, Route, Tag
from api.openapi.vocabulary import (
    ALWAYS_NULL,
    STRING,
    TIME,
    closed,
    identifier_in_text,
    nullable,
    ref,
)
from domain.access_token import new_token, token_hash
from domain.actor import Role
from domain.clock import Clock, iso_milliseconds, utc_now
from domain.commands import IssueToken
from domain.errors import ConflictError, InvalidValueError, NotFoundError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.resources.parts import Parts
    from domain.monitoring import Monitoring
    from projections.core.projector import Projector
    from projections.core.table import Record
    from projections.readers.monitors import MonitorReader


MAX_DAYS: Final = 365
RANKS: Final[tuple[Role, ...]] = ("readonly", "user", "admin")
"""The roles that the API gives out, from the least to the most."""

SHOWN: Final[tuple[Role, ...]] = (*RANKS, "supporter")
"""The roles whose tokens an organization sees."""


def _days(value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise InvalidValueError("type", "must be a whole number of days or null")
    if not 1 <= value <= MAX_DAYS:
        raise InvalidValueError("range", f"must be from 1 to {MAX_DAYS} days")
    return value


def _customer(value: object) -> int | str | None:
    identifier = None if value is None else parse_identifier(value)
    if value is not None and identifier is None:
        raise InvalidValueError("invalid", "Invalid customer ID: must be a number or a UUID")
    return identifier


class CreateTokenBody(RequestBody):
    """The body that issues a token."""

    name: Name
    expires_in_days: Annotated[
        int | None,
        Parsed(
            _days,
            {
                "type": ["integer", "null"],
                "minimum": 1,
                "maximum": MAX_DAYS,
                "description": "Days until the token expires; null: with the caller's own token, "
                "or never. Never later than that one.",
            },
        ),
    ] = None
    customer_id: Annotated[
        int | str | None,
        Parsed(
            _customer,
            {
                "anyOf": [{**NUMBER, "type": ["integer", "null"]}, UUID_TEXT],
                "description": "Number or UUID: the token is for this customer only.",
            },
        ),
    ] = None
    role: Annotated[
        Role,
        Parsed(
            choice(*RANKS),
            {
                "type": "string",
                "enum": list(RANKS),
                "description": "Never above the caller's own.",
            },
        ),
    ] = "user"


def is_above(role: Role, own: Role) -> bool:
    """Return whether a role is above the caller's own; that of a global supporter always is."""
    return role not in RANKS or RANKS.index(role) > RANKS.index(own)


def parse_create(body: Body, principal: Principal, *, needs_customer: bool) -> dict[str, Any]:
    """Return the fields of a new token, with `customer_id` still an identifier or None.

    With `needs_customer` a token must belong to a customer; where the body names none, it is
    that of the caller's own token. Raises InvalidInputError with every problem of the body.
    """
    problems: list[Problem] = []
    fields = CreateTokenBody.read(body, problems)
    role = body.get("role", "user")
    if role in RANKS and is_above(role, principal.role):
        problems.append(Problem("role", "forbidden", "must not be above the caller's own"))
    if needs_customer and body.get("customerId") is None and principal.customer_id is None:
        problems.append(Problem("customerId", "required", "customerId is required"))
    if problems:
        raise invalid(problems)
    if needs_customer and fields["customer_id"] is None:
        fields["customer_id"] = principal.customer_id
    return fields


class Tokens(ABC):
    """The tokens of one URL family, as a caller may see and change them."""

    path: ClassVar[str]
    of_customers_only: ClassVar[bool]
    """Whether tokens of the whole organization are left out, and cannot be issued."""

    def __init__(
        self,
        monitoring: Monitoring,
        reader: MonitorReader,
        projector: Projector,
        clock: Clock = utc_now,
    ) -> None:
        self.monitoring = monitoring
        self.reader = reader
        self._projector = projector
        self._clock = clock

    @abstractmethod
    def require(self, principal: Principal) -> None:
        """Raise 403 unless the caller may manage these tokens."""

    def visible(self, principal: Principal) -> list[Record]:
        """Return the tokens that the caller may see here, without revoked ones."""
        return [
            each
            for each in self.reader.tokens(principal.organization_id)
            if _is_shown(each)
            and (each["customer_id"] is not None or not self.of_customers_only)
            and (each["customer_id"] is None or principal.covers_customer(each["customer_id"]))
        ]

    def issue(self, req: falcon.Request, principal: Principal) -> dict[str, Any]:
        """Issue a token and return the answer, the only one that shows it."""
        fields = parse_create(read_object(req), principal, needs_customer=self.of_customers_only)
        customer = self._customer(fields["customer_id"], principal)
        secret = new_token()
        expires_at = self._expiry(fields["expires_in_days"], principal)
        command = IssueToken(
            organization_id=UUID(principal.organization_id),
            customer_id=UUID(customer["public_id"]) if customer else None,
            name=fields["name"],
            role=fields["role"],
            token=secret,
            expires_at=expires_at,
        )
        made = self.monitoring.issue_token(
            command,
            principal.actor(req.context.request_id),
            repeat=idempotency_key(req, self.monitoring, principal, "tokens"),
        )
        if made.token_hash != token_hash(secret):
            raise ConflictError("The token was issued and shown for this Idempotency-Key before")
        self.catch_up()
        return {
            "id": made.number,
            "name": made.name,
            "token": secret,
            "lastUsedAt": None,
            "expiresAt": command.expires_at,
            "createdAt": iso_milliseconds(made.created_on),
            "publicId": str(made.id),
            "role": made.role,
            "customerId": customer["number"] if customer else None,
        }

    def catch_up(self) -> None:
        """Catch the view up after a command, for all workers."""
        catch_up(self._projector)

    def _expiry(self, days: int | None, principal: Principal) -> str | None:
        """Return when a new token ends: never later than the caller's own.

        Without a number of days it ends with the caller's own. Raises InvalidInputError for
        more days than that one has.
        """
        if days is None:
            return principal.expires_at
        expires_at = iso_milliseconds(self._clock() + timedelta(days=days))
        if principal.expires_at is not None and expires_at > principal.expires_at:
            text = f"must not outlive the caller's own token, which ends {principal.expires_at}"
            raise invalid([Problem("expiresInDays", "range", text)])
        return expires_at

    def _customer(self, identifier: int | str | None, principal: Principal) -> Record | None:
        if identifier is None:
            return None
        customer = self.reader.customer(identifier)
        if customer is None or customer["organization_id"] != principal.organization_id:
            raise invalid([Problem("customerId", "unknown", "Invalid customer ID")])
        if not principal.covers_customer(customer["public_id"]):
            raise falcon.HTTPForbidden(description="The customer is outside the token's scope")
        return customer


class OrganizationTokens(Tokens):
    """All tokens of an organization, for its admins."""

    path = "/api/organization/tokens"
    of_customers_only = False

    def require(self, principal: Principal) -> None:
        """Raise 403 unless the caller may manage all tokens of its organization."""
        require(principal, Action.MANAGE_ORGANIZATION_TOKENS)
        if principal.customer_id is not None:
            raise falcon.HTTPForbidden(
                description="A token of one customer may not manage the organization's tokens"
            )


class CustomerTokens(Tokens):
    """The tokens of an organization's customers."""

    path = "/api/customer/tokens"
    of_customers_only = True

    def require(self, principal: Principal) -> None:
        """Raise 403 unless the caller may manage tokens of customers."""
        require(principal, Action.MANAGE_CUSTOMER_TOKENS)


class TokenCollection:
    """POST and GET of a URL family's tokens."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Issue a token (6.1, 6.4). It is shown this once."""
        principal: Principal = req.context.principal
        self._tokens.require(principal)
        resp.media = self._tokens.issue(req, principal)
        resp.status = falcon.HTTP_201

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List tokens by number (6.2, 6.5)."""
        principal: Principal = req.context.principal
        self._tokens.require(principal)
        reader = self._tokens.reader
        organization = referenced(reader.organization(principal.organization_id))
        tokens = self._tokens.visible(principal)
        # After the tokens: the customer of each of them exists by then.
        customers = {
            each["public_id"]: each for each in reader.customers(principal.organization_id)
        }
        wanted = query_identifier(req, "customerId")
        resp.media = [
            row
            for token in tokens
            for row in [_listed(token, organization, customers.get(token["customer_id"]))]
            if wanted in (None, row["customerId"], token["customer_id"])
        ]


class TokenItem:
    """DELETE of a token."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def on_delete(self, req: falcon.Request, resp: falcon.Response, number: str) -> None:
        """Revoke a token (6.3, 6.6)."""
        principal: Principal = req.context.principal
        self._tokens.require(principal)
        wanted = whole_number(number)
        if wanted is None:
            raise InvalidParameterError(
                "number", "must be a number", text="Token ID must be a number"
            )
        token = next((each for each in self._all(principal) if each["number"] == wanted), None)
        if token is None:
            raise NotFoundError("Token not found")
        if token not in self._tokens.visible(principal):
            raise falcon.HTTPForbidden(description="The token is outside the caller's scope")
        if is_above(token["role"], principal.role):
            raise falcon.HTTPForbidden(description="The token may more than the caller's own")
        actor = principal.actor(req.context.request_id)
        self._tokens.monitoring.revoke_token(UUID(token["public_id"]), actor)
        self._tokens.catch_up()
        resp.media = {"success": True}

    def _all(self, principal: Principal) -> list[Record]:
        tokens = self._tokens.reader.tokens(principal.organization_id)
        return [each for each in tokens if _is_shown(each)]


def _is_shown(token: Record) -> bool:
    """Return whether a token is not revoked, and none of an operator of the installation."""
    return token["revoked_at"] is None and token["role"] in SHOWN


def _listed(token: Record, organization: Record, customer: Record | None) -> dict[str, Any]:
    return {
        "id": token["number"],
        "organizationId": organization["number"],
        "name": token["name"],
        "customerId": customer["number"] if customer else None,
        "customerName": customer["name"] if customer else None,
        "lastUsedAt": token["last_used_at"],
        "expiresAt": token["expires_at"],
        "createdAt": token["created_at"],
        "tokenHint": token["hint"],
        "publicId": token["public_id"],
        "role": token["role"],
    }


TAG: Final = Tag("API tokens", "Who may call. Two URL families show the same tokens.")
_ROLE: Final[Schema] = {"type": "string", "enum": list(SHOWN)}


def _operations() -> Iterator[DocumentedOperation]:
    yield from _document(OrganizationTokens.path, "Organization", "the organization")
    yield from _document(CustomerTokens.path, "Customer", "customers")


def _document(path: str, name: str, owner: str) -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path=path,
        name=f"list{name}Tokens",
        tag=TAG.name,
        summary=f"List the tokens of {owner}",
        description="By number; never the tokens themselves.",
        parameters=(
            query("customerId", identifier_in_text("The customer"), "Only this customer's."),
        ),
        answers={200: json_answer("The tokens", "TokenList", example="list_tokens")},
        errors=(400, 403),
    )
    yield DocumentedOperation(
        method="post",
        path=path,
        name=f"create{name}Token",
        tag=TAG.name,
        summary=f"Issue a token of {owner}",
        description="The answer is the only one that shows the token.",
        parameters=(IDEMPOTENCY_KEY,),
        body=ref("CreateToken"),
        example="create_token",
        answers={
            201: json_answer(
                "The token",
                "IssuedToken",
                links={
                    "delete": {
                        "operationId": f"delete{name}Token",
                        "parameters": {"number": "$response.body#/id"},
                    }
                },
                example="create_token",
            )
        },
        errors=(*BODY_ERRORS, 403, 409),
    )
    yield DocumentedOperation(
        method="delete",
        path=path + "/{number}",
        name=f"delete{name}Token",
        tag=TAG.name,
        summary="Revoke a token",
        parameters=(
            path_parameter("number", {**NUMBER, "maximum": 10**18 - 1}, "The token's `id`."),
        ),
        answers={200: json_answer("It is revoked", "Success")},
        errors=(400, 403, 404, 409),
    )


def _schemas() -> Schema:
    return {
        "CreateToken": CreateTokenBody.schema_of_body(),
        "IssuedToken": closed(_issued_token()),
        "Token": closed(_token()),
        "TokenList": {"type": "array", "items": ref("Token")},
    }


def _issued_token() -> Schema:
    return {
        "id": NUMBER,
        "name": STRING,
        "token": {
            "type": "string",
            "pattern": "^wsm_",
            "description": "The token itself. It is shown this once.",
        },
        "lastUsedAt": ALWAYS_NULL,
        "expiresAt": nullable(TIME),
        "createdAt": TIME,
        "publicId": UUID_TEXT,
        "role": _ROLE,
        "customerId": nullable(NUMBER),
    }


def _token() -> Schema:
    return {
        "id": NUMBER,
        "organizationId": NUMBER,
        "name": STRING,
        "customerId": nullable(NUMBER),
        "customerName": nullable(STRING),
        "lastUsedAt": {**nullable(TIME), "description": "To the hour; null: never used."},
        "expiresAt": {**nullable(TIME), "description": "null: never."},
        "createdAt": TIME,
        "tokenHint": {"type": "string", "description": "How the token begins."},
        "publicId": UUID_TEXT,
        "role": _ROLE,
    }


def _routes(parts: Parts) -> Iterator[Route]:
    for scope in (OrganizationTokens, CustomerTokens):
        tokens = scope(parts.monitoring, parts.reader, parts.projector)
        yield Route(scope.path, TokenCollection(tokens))
        yield Route(scope.path + "/{number}", TokenItem(tokens))


RESOURCE: Final = Resource(tags=(TAG,), routes=_routes, operations=_operations, schemas=_schemas)
