"""The documented JSON of customers (contract part B, 9).

Postwatch sends no SMS and sells no packages: those keys are there with their empty
value, because clients of the documented API read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from domain.fields import CUSTOMER_FIELDS, keys_of

if TYPE_CHECKING:
    from projections.core.table import Record


CREATED: Final = (
    "id",
    "publicId",
    "organizationId",
    "name",
    "email",
    "notificationPhoneNumber",
    "notificationEmail",
    "packageId",
    "packageType",
    "status",
    "allowedCheckCountryCodes",
    "cancellationDate",
    "cancelledAt",
    "customFields",
    "monthlyReportsEnabled",
    "notificationChannels",
    "notificationTargets",
    "notificationRules",
    "smsUsageCurrentMonth",
    "createdAt",
    "updatedAt",
    "alertLocationThresholdCount",
)
READ: Final = (
    "id",
    "publicId",
    "organizationId",
    "name",
    "email",
    "notificationPhoneNumber",
    "notificationEmail",
    "packageId",
    "packageDisplayName",
    "status",
    "customFields",
    "monthlyReportsEnabled",
    "notificationChannels",
    "notificationTargets",
    "notificationRules",
    "smsUsageCurrentMonth",
    "updatedAt",
    "createdAt",
    "allowedCheckCountryCodes",
    "alertLocationThresholdCount",
)
LISTED: Final = (
    "id",
    "organizationId",
    "name",
    "email",
    "packageId",
    "packageDisplayName",
    "status",
    "cancellationDate",
    "notificationEmail",
    "createdAt",
    "publicId",
)
EMBEDDED: Final = (
    "id",
    "organizationId",
    "name",
    "email",
    "allowedCheckCountryCodes",
    "customFields",
    "alertLocationThresholdCount",
    "createdAt",
    "updatedAt",
    "publicId",
)


def created(customer: Record, organization: Record) -> dict[str, Any]:
    """Return the customer in the answer to POST (9.1)."""
    return _pick(CREATED, customer, organization)


def read(customer: Record, organization: Record) -> dict[str, Any]:
    """Return the answer to GET one and PATCH (9.3, 9.4)."""
    return _pick(READ, customer, organization)


def listed(customer: Record, organization: Record) -> dict[str, Any]:
    """Return an item of the list (9.2)."""
    return _pick(LISTED, customer, organization)


def embedded(customer: Record, organization: Record) -> dict[str, Any]:
    """Return the customer inside an IMAP/POP monitor (5.4)."""
    return _pick(EMBEDDED, customer, organization)


def _pick(keys: tuple[str, ...], customer: Record, organization: Record) -> dict[str, Any]:
    shape = {key: customer[_FIELDS[key]] if key in _FIELDS else None for key in keys}
    shape["organizationId"] = organization["number"]
    if "smsUsageCurrentMonth" in shape:
        shape["smsUsageCurrentMonth"] = 0
    return shape


_FIELDS: Final = {
    "id": "number",
    "publicId": "public_id",
    **keys_of(CUSTOMER_FIELDS),
    "packageDisplayName": "package_type",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
}
"""Documented keys whose value is in the customer's own record."""
