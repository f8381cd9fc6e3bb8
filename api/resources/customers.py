"""The endpoints and the bodies of customers (contract part B, 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import falcon
import orjson

from api.http.body import read_object
from api.http.errors import InvalidParameterError, invalid
from api.http.execution import Cost
from api.http.fields import (
    NAME,
    NUMBER,
    Body,
    CountryCodes,
    Email,
    Name,
    Parsed,
    PhoneNumber,
    RequestBody,
    Schema,
    Switch,
    change_of,
    choice,
)
from api.http.fields import UUID as UUID_SCHEMA
from api.http.operation import costs
from api.http.parameters import identifier_of, query_identifier
from api.http.permissions import Action, Principal, require
from api.http.preconditions import idempotency_key
from api.http.read_your_writes import catch_up, retry_after_catch_up
from api.http.scope import referenced
from api.openapi.operations import DocumentedOperation, json_answer, path_parameter, query
from api.openapi.parameters import IDEMPOTENCY_KEY
from api.openapi.problems import BODY_ERRORS
from api.openapi.resource import Resource, Route, Tag
from api.openapi.vocabulary import (
    ALWAYS_NULL,
    COUNTRY_CODES,
    STRING,
    SUCCESS,
    TIME,
    closed,
    described,
    identifier_in_text,
    nullable,
    ref,
)
from domain import values
from domain.commands import CreateCustomer, UpdateCustomer
from domain.errors import InvalidValueError, NotFoundError, Problem
from projections.shapes.customer import CUSTOMER_KEYS, customer_shape
from projections.views import records
from projections.views.resources import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from api.resources.parts import Parts
    from domain.monitoring import Monitoring
    from projections.core.projector import Projector
    from projections.core.table import Record
    from projections.readers.monitors import MonitorReader


STATUSES: Final = ("active", "inactive", "marked_for_cancellation")
MAX_CUSTOM_FIELDS_BYTES: Final = 16 * 1024
MAX_THRESHOLD: Final = 100


def _threshold(value: object) -> int:
    if type(value) is not int:
        raise InvalidValueError("type", "must be a whole number")
    if not 1 <= value <= MAX_THRESHOLD:
        raise InvalidValueError("range", f"must be from 1 to {MAX_THRESHOLD}")
    return value


def _custom_fields(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidValueError("type", "must be an object or null")
    if len(orjson.dumps(value)) > MAX_CUSTOM_FIELDS_BYTES:
        raise InvalidValueError(
            "too_large", f"must have at most {MAX_CUSTOM_FIELDS_BYTES} bytes as JSON"
        )
    return value


def _package_type(value: object) -> str | None:
    return None if value is None else values.parse_name(value)


class CreateCustomerBody(RequestBody):
    """The body of POST /api/customers."""

    READ_ONLY = frozenset(
        {
            "id",
            "publicId",
            "organizationId",
            "packageId",
            "packageDisplayName",
            "cancellationDate",
            "cancelledAt",
            "notificationChannels",
            "notificationTargets",
            "notificationRules",
            "smsUsageCurrentMonth",
            "createdAt",
            "updatedAt",
        }
    )

    name: Name
    email: Email = None
    package_type: Annotated[
        str | None,
        Parsed(
            _package_type,
            {
                **NAME,
                "type": ["string", "null"],
                "description": "The `packageType` or the `displayName` of a package; one that "
                "there is not is kept, and has no effect.",
            },
        ),
    ] = None
    status: Annotated[
        str,
        Parsed(
            choice(*STATUSES),
            {
                "type": "string",
                "enum": list(STATUSES),
                "description": "For people; monitors are paused one by one.",
            },
        ),
    ] = "active"
    notification_email: Email = None
    notification_phone_number: PhoneNumber = None
    monthly_reports_enabled: Switch = True
    custom_fields: Annotated[
        dict[str, Any] | None,
        Parsed(
            _custom_fields,
            {"type": ["object", "null"], "description": "Anything; at most 16 KiB as JSON."},
        ),
    ] = None
    allowed_check_country_codes: CountryCodes = None
    alert_location_threshold_count: Annotated[
        int,
        Parsed(
            _threshold,
            {
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_THRESHOLD,
                "description": "From how many locations a server must fail before it counts.",
            },
        ),
    ] = 1


UpdateCustomerBody = change_of(CreateCustomerBody)
"""The body of PATCH /api/customers/:id."""


def read_fields(model: type[RequestBody], body: Body) -> dict[str, Any]:
    """Return the fields of a body. Raises InvalidInputError with every problem."""
    problems: list[Problem] = []
    fields = model.read(body, problems)
    if problems:
        raise invalid(problems)
    return fields


class CustomerCollection:
    """POST and GET of /api/customers."""

    def __init__(self, monitoring: Monitoring, reader: MonitorReader, projector: Projector) -> None:
        self._monitoring = monitoring
        self._reader = reader
        self._projector = projector

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a customer (9.1)."""
        principal: Principal = req.context.principal
        require(principal, Action.MANAGE_CUSTOMERS)
        if principal.customer_id is not None:
            raise falcon.HTTPForbidden(description="A token of one customer may not make others")
        fields = read_fields(CreateCustomerBody, read_object(req))
        packages = _Packages(self._reader, principal.organization_id)
        fields["package_type"] = packages.key(fields["package_type"])
        name, email = fields.pop("name"), fields.pop("email")
        command = CreateCustomer(UUID(principal.organization_id), name, email, fields)
        # Before the command: once it is recorded, a failing read must not prevent the answer.
        organization = referenced(self._reader.organization(principal.organization_id))
        made = self._monitoring.create_customer(
            command,
            principal.actor(req.context.request_id),
            repeat=idempotency_key(req, self._monitoring, principal, "customers"),
        )
        catch_up(self._projector)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/customers/{made.id}"
        record = records.of_customer(made)
        customer = customer_shape(record, organization, "created", packages.of(record))
        resp.media = {"success": True, "customer": customer}

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the customers of an organization (9.2)."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_CUSTOMER)
        organization = self._organization(req, principal)
        packages = _Packages(self._reader, organization["public_id"])
        resp.media = [
            customer_shape(each, organization, "listed", packages.of(each))
            for each in self._reader.customers(organization["public_id"])
            if principal.covers_customer(each["public_id"])
        ]

    def _organization(self, req: falcon.Request, principal: Principal) -> Record:
        identifier = query_identifier(req, "organizationId")
        found = self._reader.organization(identifier or principal.organization_id)
        if found is None or not principal.sees_organization(found["public_id"]):
            raise falcon.HTTPForbidden(description="The organization is outside the token's scope")
        return found


class CustomerItem:
    """GET and PATCH of one customer, by public id or number."""

    def __init__(self, monitoring: Monitoring, reader: MonitorReader, projector: Projector) -> None:
        self._monitoring = monitoring
        self._reader = reader
        self._projector = projector

    def on_get(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Show a customer (9.3)."""
        principal: Principal = req.context.principal
        customer, organization = self._find(identifier, principal)
        require(principal, Action.READ_CUSTOMER)
        package = _Packages(self._reader, organization["public_id"]).of(customer)
        resp.media = customer_shape(customer, organization, "read", package)

    def on_patch(self, req: falcon.Request, resp: falcon.Response, identifier: str) -> None:
        """Change a customer (9.4)."""
        principal: Principal = req.context.principal
        customer, organization = self._find(identifier, principal)
        require(principal, Action.MANAGE_CUSTOMERS)
        changes = read_fields(UpdateCustomerBody, read_object(req))
        packages = _Packages(self._reader, organization["public_id"])
        if "package_type" in changes:
            changes["package_type"] = packages.key(changes["package_type"])
        command = UpdateCustomer(UUID(customer["public_id"]), changes)
        actor = principal.actor(req.context.request_id)
        changed = records.of_customer(self._monitoring.update_customer(command, actor))
        if catch_up(self._projector):
            changed, organization = _with_organization(self._reader, customer["public_id"])
        resp.media = customer_shape(changed, organization, "read", packages.of(changed))

    def _find(self, text: str, principal: Principal) -> tuple[Record, Record]:
        identifier = identifier_of(text)
        if identifier is None:
            raise InvalidParameterError(
                "identifier", "must be a number or a UUID", text="Invalid Customer identifier"
            )
        customer = self._reader.customer(identifier)
        if customer is None and retry_after_catch_up(self._projector):
            customer = self._reader.customer(identifier)
        if customer is None or not principal.sees_organization(customer["organization_id"]):
            raise NotFoundError("Customer not found")
        if not principal.covers_customer(customer["public_id"]):
            raise falcon.HTTPForbidden(description="The customer is outside the token's scope")
        return _with_organization(self._reader, customer["public_id"])


class _Packages:
    """The packages of an organization, by key."""

    def __init__(self, reader: MonitorReader, organization_id: str) -> None:
        found = reader.resources(PACKAGES, organization_id)
        self._by_key = {each["package_type"]: each for each in found}

    def of(self, customer: Record) -> Record | None:
        """Return the package of a customer; None for none that exists."""
        return self._by_key.get(customer["package_type"])

    def key(self, name: str | None) -> str | None:
        """Return the key of the package that a key or a label names; else the name itself."""
        if name in self._by_key:
            return name
        labelled = (key for key, each in self._by_key.items() if each["displayName"] == name)
        return name and next(labelled, name)


def _with_organization(reader: MonitorReader, customer_id: str) -> tuple[Record, Record]:
    customer = referenced(reader.customer(customer_id))
    return customer, referenced(reader.organization(customer["organization_id"]))


TAG: Final = Tag("Customers", "The owners of monitors.")
_IDENTIFIER: Final = path_parameter(
    "identifier", identifier_in_text("The customer"), "Its `publicId`, or its number."
)
_CUSTOMER: Final[Mapping[str, Schema]] = {
    "id": NUMBER,
    "publicId": UUID_SCHEMA,
    "organizationId": NUMBER,
    "name": STRING,
    "email": nullable(STRING),
    "notificationPhoneNumber": nullable(STRING),
    "notificationEmail": nullable(STRING),
    "packageId": described(nullable(NUMBER), "The `id` of the package, if there is it."),
    "packageType": nullable(STRING),
    "packageDisplayName": nullable(STRING),
    "status": {"type": "string", "enum": list(STATUSES)},
    "allowedCheckCountryCodes": COUNTRY_CODES,
    "cancellationDate": ALWAYS_NULL,
    "cancelledAt": ALWAYS_NULL,
    "customFields": {"type": ["object", "null"], "additionalProperties": True},
    "monthlyReportsEnabled": {"type": "boolean"},
    "notificationChannels": ALWAYS_NULL,
    "notificationTargets": ALWAYS_NULL,
    "notificationRules": ALWAYS_NULL,
    "smsUsageCurrentMonth": {"type": "integer", "description": "Always 0 here."},
    "createdAt": TIME,
    "updatedAt": TIME,
    "alertLocationThresholdCount": {**NUMBER, "maximum": MAX_THRESHOLD},
}


def _operations() -> Iterator[DocumentedOperation]:
    yield from _document_collection()
    yield from _document_item()


def _document_collection() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/api/customers",
        name="listCustomers",
        tag=TAG.name,
        summary="List customers",
        description="By number; those in the token's scope.",
        parameters=(
            query(
                "organizationId",
                identifier_in_text("The organization"),
                "Default: the token's organization.",
            ),
        ),
        answers={200: json_answer("The customers", "CustomerList", example="list_customers")},
        errors=(400, 403),
    )
    yield DocumentedOperation(
        method="post",
        path="/api/customers",
        name="createCustomer",
        tag=TAG.name,
        summary="Create a customer",
        parameters=(IDEMPOTENCY_KEY,),
        body=ref("CreateCustomer"),
        example="create_customer",
        answers={
            201: json_answer(
                "The customer",
                "CreatedCustomer",
                headers={"Location": ref("Location", "headers")},
                links={
                    action: {
                        "operationId": f"{action}Customer",
                        "parameters": {"identifier": "$response.body#/customer/publicId"},
                    }
                    for action in ("get", "update")
                },
                example="create_customer",
            )
        },
        errors=(*BODY_ERRORS, 403, 409),
    )


def _document_item() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/api/customers/{identifier}",
        name="getCustomer",
        tag=TAG.name,
        summary="Show a customer",
        parameters=(_IDENTIFIER,),
        answers={200: json_answer("The customer", "Customer", example="get_customer")},
        errors=(400, 403, 404),
    )
    yield DocumentedOperation(
        method="patch",
        path="/api/customers/{identifier}",
        name="updateCustomer",
        tag=TAG.name,
        summary="Change a customer",
        description="A key that is absent is unchanged; null clears.",
        parameters=(_IDENTIFIER,),
        body=ref("UpdateCustomer"),
        example="update_customer",
        answers={200: json_answer("The customer", "Customer", example="update_customer")},
        errors=(*BODY_ERRORS, 403, 404, 409),
    )


def _schemas() -> Schema:
    return {
        "CreateCustomer": CreateCustomerBody.schema_of_body(),
        "UpdateCustomer": UpdateCustomerBody.schema_of_body(),
        "MonitorCustomer": _shape(CUSTOMER_KEYS["embedded"]),
        "Customer": _shape(CUSTOMER_KEYS["read"]),
        "CustomerItem": _shape(CUSTOMER_KEYS["listed"]),
        "CustomerDetails": _shape(CUSTOMER_KEYS["created"]),
        "CreatedCustomer": closed({**SUCCESS, "customer": ref("CustomerDetails")}),
        "CustomerList": {"type": "array", "items": ref("CustomerItem")},
    }


def _shape(keys: Iterable[str]) -> Schema:
    return closed({key: _CUSTOMER[key] for key in keys})


def _routes(parts: Parts) -> Iterator[Route]:
    needs = parts.monitoring, parts.reader, parts.projector
    yield Route("/api/customers", CustomerCollection(*needs))
    yield Route("/api/customers/{identifier}", CustomerItem(*needs))


RESOURCE: Final = Resource(tags=(TAG,), routes=_routes, operations=_operations, schemas=_schemas)
