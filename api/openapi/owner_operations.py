"""The endpoints of customers, tokens, the organization and locations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.fields import NUMBER
from api.openapi.operations import Operation, json_answer, path_parameter, query
from api.openapi.parameters import IDEMPOTENCY_KEY
from api.openapi.problems import BODY_ERRORS
from api.openapi.vocabulary import identifier_in_text, ref
from api.resources import customers, tokens
from api.resources.tokens import CustomerTokens, OrganizationTokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.http.fields import Schema


CUSTOMERS: Final = "Customers"
TOKENS: Final = "API tokens"
ORGANIZATION: Final = "Organization"

_IDENTIFIER: Final = path_parameter(
    "identifier", identifier_in_text("The customer"), "Its `publicId`, or its number."
)


def bodies() -> Schema:
    """Return the bodies of these endpoints."""
    return {
        "CreateCustomer": customers.CreateCustomerBody.schema_of_body(),
        "UpdateCustomer": customers.UpdateCustomerBody.schema_of_body(),
        "CreateToken": tokens.CreateTokenBody.schema_of_body(),
    }


def operations() -> Iterator[Operation]:
    """Return the endpoints."""
    yield from _customers()
    yield from _customer()
    yield from _tokens(OrganizationTokens.path, "Organization", "the organization")
    yield from _tokens(CustomerTokens.path, "Customer", "customers")
    yield from _organization()


def _customers() -> Iterator[Operation]:
    yield Operation(
        method="get",
        path="/api/customers",
        name="listCustomers",
        tag=CUSTOMERS,
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
    yield Operation(
        method="post",
        path="/api/customers",
        name="createCustomer",
        tag=CUSTOMERS,
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


def _customer() -> Iterator[Operation]:
    yield Operation(
        method="get",
        path="/api/customers/{identifier}",
        name="getCustomer",
        tag=CUSTOMERS,
        summary="Show a customer",
        parameters=(_IDENTIFIER,),
        answers={200: json_answer("The customer", "Customer", example="get_customer")},
        errors=(400, 403, 404),
    )
    yield Operation(
        method="patch",
        path="/api/customers/{identifier}",
        name="updateCustomer",
        tag=CUSTOMERS,
        summary="Change a customer",
        description="A key that is absent is unchanged; null clears.",
        parameters=(_IDENTIFIER,),
        body=ref("UpdateCustomer"),
        example="update_customer",
        answers={200: json_answer("The customer", "Customer", example="update_customer")},
        errors=(*BODY_ERRORS, 403, 404, 409),
    )


def _tokens(path: str, name: str, owner: str) -> Iterator[Operation]:
    yield Operation(
        method="get",
        path=path,
        name=f"list{name}Tokens",
        tag=TOKENS,
        summary=f"List the tokens of {owner}",
        description="By number; never the tokens themselves.",
        parameters=(
            query("customerId", identifier_in_text("The customer"), "Only this customer's."),
        ),
        answers={200: json_answer("The tokens", "TokenList", example="list_tokens")},
        errors=(400, 403),
    )
    yield Operation(
        method="post",
        path=path,
        name=f"create{name}Token",
        tag=TOKENS,
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
    yield Operation(
        method="delete",
        path=path + "/{number}",
        name=f"delete{name}Token",
        tag=TOKENS,
        summary="Revoke a token",
        parameters=(
            path_parameter("number", {**NUMBER, "maximum": 10**18 - 1}, "The token's `id`."),
        ),
        answers={200: json_answer("It is revoked", "Success")},
        errors=(400, 403, 404, 409),
    )


def _organization() -> Iterator[Operation]:
    yield Operation(
        method="get",
        path="/api/organization",
        name="getOrganization",
        tag=ORGANIZATION,
        summary="Show the token's organization",
        answers={200: json_answer("The organization", "Organization", example="get_organization")},
        errors=(403,),
    )
    yield Operation(
        method="get",
        path="/api/monitoring-locations",
        name="listMonitoringLocations",
        tag=ORGANIZATION,
        summary="List the places from which servers are checked",
        description="By number; retired ones are left out.",
        answers={200: json_answer("The places", "LocationList", example="list_locations")},
        errors=(403,),
    )
