"""The documented JSON of customers (contract part B, 9).

Postwatch sends no SMS and sells no packages: those keys are there with their empty
value, because clients of the documented API read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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
    values = {
        "id": customer["number"],
        "publicId": customer["public_id"],
        "organizationId": organization["number"],
        "name": customer["name"],
        "email": customer["email"],
        "notificationPhoneNumber": customer["notification_phone_number"],
        "notificationEmail": customer["notification_email"],
        "packageId": None,
        "packageType": customer["package_type"],
        "packageDisplayName": customer["package_type"],
        "status": customer["status"],
        "allowedCheckCountryCodes": customer["allowed_check_country_codes"],
        "cancellationDate": None,
        "cancelledAt": None,
        "customFields": customer["custom_fields"],
        "monthlyReportsEnabled": customer["monthly_reports_enabled"],
        "notificationChannels": None,
        "notificationTargets": None,
        "notificationRules": None,
        "smsUsageCurrentMonth": 0,
        "createdAt": customer["created_at"],
        "updatedAt": customer["updated_at"],
        "alertLocationThresholdCount": customer["alert_location_threshold_count"],
    }
    return {key: values[key] for key in keys}
