"""Answers about customers, tokens, the organization and locations, as schemas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.http.fields import NUMBER, UUID
from api.openapi.vocabulary import COUNTRY_CODES, STRING, TIME, closed, nullable, ref
from api.resources.customers import MAX_THRESHOLD, STATUSES
from api.resources.tokens import SHOWN
from projections.shapes.customer import CUSTOMER_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.http.fields import Schema


_NULL: Final[Schema] = {"type": "null", "description": "Always null here."}
_ROLE: Final[Schema] = {"type": "string", "enum": list(SHOWN)}
_CUSTOMER: Final[Mapping[str, Schema]] = {
    "id": NUMBER,
    "publicId": UUID,
    "organizationId": NUMBER,
    "name": STRING,
    "email": nullable(STRING),
    "notificationPhoneNumber": nullable(STRING),
    "notificationEmail": nullable(STRING),
    "packageId": _NULL,
    "packageType": nullable(STRING),
    "packageDisplayName": nullable(STRING),
    "status": {"type": "string", "enum": list(STATUSES)},
    "allowedCheckCountryCodes": COUNTRY_CODES,
    "cancellationDate": _NULL,
    "cancelledAt": _NULL,
    "customFields": {"type": ["object", "null"], "additionalProperties": True},
    "monthlyReportsEnabled": {"type": "boolean"},
    "notificationChannels": _NULL,
    "notificationTargets": _NULL,
    "notificationRules": _NULL,
    "smsUsageCurrentMonth": {"type": "integer", "const": 0},
    "createdAt": TIME,
    "updatedAt": TIME,
    "alertLocationThresholdCount": {**NUMBER, "maximum": MAX_THRESHOLD},
}


def components() -> Schema:
    """Return every schema of this family."""
    return {
        "MonitorCustomer": _customer(CUSTOMER_KEYS["embedded"]),
        "Customer": _customer(CUSTOMER_KEYS["read"]),
        "CustomerItem": _customer(CUSTOMER_KEYS["listed"]),
        "CustomerDetails": _customer(CUSTOMER_KEYS["created"]),
        "CreatedCustomer": closed(
            {"success": {"type": "boolean", "const": True}, "customer": ref("CustomerDetails")}
        ),
        "CustomerList": {"type": "array", "items": ref("CustomerItem")},
        "IssuedToken": closed(_issued_token()),
        "Token": closed(_token()),
        "TokenList": {"type": "array", "items": ref("Token")},
        "Organization": closed(_organization()),
        "Location": closed(_location()),
        "LocationList": {"type": "array", "items": ref("Location")},
    }


def _customer(keys: tuple[str, ...]) -> Schema:
    return closed({key: _CUSTOMER[key] for key in keys})


def _issued_token() -> Schema:
    return {
        "id": NUMBER,
        "name": STRING,
        "token": {
            "type": "string",
            "pattern": "^wsm_",
            "description": "The token itself. It is shown this once.",
        },
        "lastUsedAt": _NULL,
        "expiresAt": nullable(TIME),
        "createdAt": TIME,
        "publicId": UUID,
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
        "publicId": UUID,
        "role": _ROLE,
    }


def _organization() -> Schema:
    billing = ("companyName", "street", "postalCode", "city", "country", "vatId", "billingEmail")
    return {
        "id": NUMBER,
        "name": STRING,
        **dict.fromkeys(billing, _NULL),
        "createdAt": TIME,
        "publicId": UUID,
    }


def _location() -> Schema:
    return {
        "id": NUMBER,
        "code": {"type": "string", "examples": ["de-nbg"]},
        "name": STRING,
        "countryCode": nullable(STRING),
        "isActive": {"type": "boolean", "description": "It made a check within two days."},
        "lastCheckAt": nullable(TIME),
    }
