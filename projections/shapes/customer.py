"""The documented JSON of customers (contract part B, 9).

Postwatch sends no SMS: the shapes have those keys with their empty value, because clients of the
documented API read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from domain.fields import CUSTOMER_FIELDS, keys_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from projections.core.table import Record


CustomerForm = Literal["created", "read", "listed", "embedded"]
"""`created` answers POST (9.1), `listed` is an item of a list (9.2), `read` answers GET one and
PATCH (9.3, 9.4), `embedded` is inside an IMAP/POP monitor (5.4)."""

CUSTOMER_KEYS: Final[Mapping[CustomerForm, tuple[str, ...]]] = {
    "created": (
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
    ),
    "read": (
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
    ),
    "listed": (
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
    ),
    "embedded": (
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
    ),
}
"""The keys of each form, in the documented order."""

_FIELDS: Final = {
    "id": "number",
    "publicId": "public_id",
    **keys_of(CUSTOMER_FIELDS),
    "packageDisplayName": "package_type",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
}
"""Documented keys whose value is in the customer's own record."""


def customer_shape(
    customer: Record, organization: Record, form: CustomerForm, package: Record | None = None
) -> dict[str, Any]:
    """Return the documented shape of a customer. `package`: the one it has, if there is one."""
    keys = CUSTOMER_KEYS[form]
    shape = {key: customer[_FIELDS[key]] if key in _FIELDS else None for key in keys}
    shape["organizationId"] = organization["number"]
    if package is not None and "packageId" in shape:
        shape["packageId"] = package["number"]
    if package is not None and "packageDisplayName" in shape:
        shape["packageDisplayName"] = package["displayName"] or package["package_type"]
    if "smsUsageCurrentMonth" in shape:
        shape["smsUsageCurrentMonth"] = 0
    return shape
