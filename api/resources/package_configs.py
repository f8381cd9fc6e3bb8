"""The endpoints of package configs (contract part B, 8.3 to 8.5; D-6)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import falcon
from pydantic import create_model

from api.http.body import read_object
from api.http.errors import InvalidParameterError, invalid
from api.http.execution import Cost
from api.http.fields import NAME, NUMBER, ChangingBody, Parsed
from api.http.fields import UUID as UUID_SCHEMA
from api.http.operation import costs
from api.http.permissions import Action, Principal, require
from api.http.read_your_writes import catch_up
from api.http.scope import asked_organization
from api.openapi.operations import DocumentedOperation, json_answer, path_parameter
from api.openapi.problems import BODY_ERRORS
from api.openapi.resource import Resource, Route, Tag
from api.openapi.vocabulary import COUNT, TIME, closed, described, nullable, ref
from api.resources.all_monitors import OWNER_PARAMETERS
from api.resources.customers import read_fields
from domain.alert_policy import (
    MAX_CERTIFICATE_DAYS,
    MAX_CERTIFICATE_LEVELS,
    MAX_CONSECUTIVE_CHECKS,
    MAX_DELAY_MINUTES,
    MAX_GROUP_WAIT_SECONDS,
    MAX_LOCATION_COUNT,
    MAX_THRESHOLD_MS,
    MIN_REMINDER_MINUTES,
    THRESHOLDS,
)
from domain.errors import ConflictError, InvalidValueError, NotFoundError, Problem
from domain.package_config import (
    MAX_COUNT,
    MAX_NOTES_LENGTH,
    MAX_PACKAGES,
    PACKAGE_PARSERS,
    PackageConfig,
)
from domain.values import parse_name
from projections.views.resources import PACKAGES, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from api.http.fields import Schema
    from api.resources.parts import Parts
    from domain.resource import Fields
    from projections.core.table import Record


_OURS: Final = (
    "displayName",
    "alertRecoveryChecks",
    "alertPerformanceThresholdMs",
    "alertCertificateDays",
    "alertGroupWaitSeconds",
)
"""Keys that the documented answer does not have; they follow its keys."""

_DOCUMENTED: Final = (
    "maxUrls",
    "dataRetentionMonths",
    "checkIntervalMinutes",
    "checkLocations",
    "notificationDelayMinutes",
    "reminderDelayMinutes",
    "alertConsecutiveChecks",
    "alertLocationThreshold",
    "alertLocationThresholdCount",
    "alertReminderInterval",
    "enableSslCheck",
    "enableHttpsCheck",
    "enableStatusCheck",
    "enableSizeCheck",
    "enableResponseTimeCheck",
    "enableKeywordCheck",
    "enableEmailAlerts",
    "enableSmsAlerts",
    "enableWebhookAlerts",
    "enableIntegrationAlerts",
    "enablePostRequestEscalation",
    "enableMaintenanceWindows",
    "enablePdfReports",
    "notes",
)


def _whole(low: int, high: int, description: str) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high, "description": description}


_MINUTES: Final = _whole(0, MAX_DELAY_MINUTES, "Minutes.")
_CHECKS: Final = _whole(1, MAX_CONSECUTIVE_CHECKS, "Checks in a row.")
_COUNT_OR_NULL: Final = nullable({"type": "integer", "minimum": 0, "maximum": MAX_COUNT})
_SPECIAL: Final[Schema] = {
    "alertConsecutiveChecks": _CHECKS,
    "alertRecoveryChecks": _CHECKS,
    "alertLocationThresholdCount": _whole(1, MAX_LOCATION_COUNT, "For the threshold `count`."),
    "notificationDelayMinutes": _MINUTES,
    "reminderDelayMinutes": described(_MINUTES, "Minutes; 0: `alertReminderInterval`."),
    "alertReminderInterval": {
        "anyOf": [
            {"type": "integer", "const": 0},
            {"type": "integer", "minimum": MIN_REMINDER_MINUTES, "maximum": MAX_DELAY_MINUTES},
        ],
        "description": "Minutes; 0: no reminders.",
    },
    "alertGroupWaitSeconds": _whole(0, MAX_GROUP_WAIT_SECONDS, "Seconds."),
    "displayName": {**NAME, "type": ["string", "null"]},
    "notes": {"type": ["string", "null"], "maxLength": MAX_NOTES_LENGTH},
    "alertLocationThreshold": {"type": "string", "enum": list(THRESHOLDS)},
    "alertPerformanceThresholdMs": {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": MAX_THRESHOLD_MS,
        "description": "Slower good checks are a `performance` incident; null: none are.",
    },
    "alertCertificateDays": {
        "type": "array",
        "items": {"type": "integer", "minimum": 1, "maximum": MAX_CERTIFICATE_DAYS},
        "maxItems": MAX_CERTIFICATE_LEVELS,
        "description": "Days before the end of a certificate at which people hear of it.",
    },
}


def _schema_of(key: str, default: object) -> Schema:
    """Return what the value of a key may be, from its default where nothing else is said."""
    if key in _SPECIAL:
        found: Schema = _SPECIAL[key]
        return found
    if isinstance(default, bool):
        return {"type": "boolean"}
    return _COUNT_OR_NULL


_DEFAULTS: Final[Fields] = PackageConfig.defaults()
_SCHEMAS: Final[dict[str, Schema]] = {
    key: _schema_of(key, _DEFAULTS[key]) for key in PACKAGE_PARSERS
}
_READ_ONLY: Final = frozenset({"id", "publicId", "usedByCustomerCount", "createdAt", "updatedAt"})

_FIELDS: Final[dict[str, Any]] = {
    key: (Annotated[Any, Parsed(parse, _SCHEMAS[key])], None)
    for key, parse in PACKAGE_PARSERS.items()
}
UpdatePackageBody: Final[type[ChangingBody]] = create_model(
    "UpdatePackageBody",
    __base__=ChangingBody,
    packageType=(Annotated[Any, Parsed(parse_name, NAME)], None),
    **_FIELDS,
)
"""The body of PATCH /api/package-configs/:packageType."""

UpdatePackageBody.READ_ONLY = _READ_ONLY


class _Packages:
    """The packages of an organization, as a caller may see and change them."""

    def __init__(self, parts: Parts) -> None:
        self.reader = parts.reader
        self._resources = parts.monitoring.resources
        self._projector = parts.projector

    def list(self, organization_id: str) -> list[Schema]:
        """Return the packages of an organization, by number."""
        used = self._used(organization_id)
        found = self.reader.resources(PACKAGES, organization_id)
        return [_shape(each, used[each["package_type"]]) for each in found]

    def change(
        self, req: falcon.Request, principal: Principal, package_type: str, changes: Fields
    ) -> Schema:
        """Change a package, or make it. Raises ConflictError when there are as many as may be."""
        organization_id = principal.organization_id
        found = self.reader.resources(PACKAGES, organization_id)
        is_new = all(each["package_type"] != package_type for each in found)
        if is_new and len(found) >= MAX_PACKAGES:
            raise ConflictError(
                f"The organization has {MAX_PACKAGES} packages already, the most that are "
                "allowed; delete one first"
            )
        package = self._resources.set_package(
            UUID(organization_id), package_type, changes, principal.actor(req.context.request_id)
        )
        catch_up(self._projector)
        used = self._used(organization_id)[package_type]
        return _shape(record_of(package, principal.token_id), used)

    def delete(self, req: falcon.Request, principal: Principal, package_type: str) -> None:
        """Delete a package. Raises ConflictError while customers have it, or NotFoundError."""
        organization_id = principal.organization_id
        found = next(
            (
                each
                for each in self.reader.resources(PACKAGES, organization_id)
                if each["package_type"] == package_type
            ),
            None,
        )
        if found is None:
            raise NotFoundError("Package not found")
        used = self._used(organization_id)[package_type]
        if used:
            raise ConflictError(f"The package is used by {used} customers; change them first")
        self._resources.delete(
            PackageConfig,
            UUID(organization_id),
            UUID(found["public_id"]),
            principal.actor(req.context.request_id),
        )
        catch_up(self._projector)

    def _used(self, organization_id: str) -> Counter[str | None]:
        """Return how many customers have each package."""
        return Counter(each["package_type"] for each in self.reader.customers(organization_id))


def _shape(package: Record, used: int) -> Schema:
    """Return the documented JSON of a package."""
    return {
        "id": package["number"],
        "packageType": package["package_type"],
        **{key: package[key] for key in _DOCUMENTED},
        "createdAt": package["created_at"],
        "updatedAt": package["updated_at"],
        "usedByCustomerCount": used,
        "publicId": package["public_id"],
        **{key: package[key] for key in _OURS},
    }


def _key(text: str) -> str:
    """Return the key of a package in a path. Raises 400."""
    try:
        return parse_name(text)
    except InvalidValueError as error:
        raise InvalidParameterError("package_type", error.message, code=error.code) from None


def _require_admin_of_all(principal: Principal) -> None:
    """Raise 403 unless the caller may change what concerns all customers."""
    require(principal, Action.MANAGE_PACKAGES)
    if principal.customer_id is not None:
        raise falcon.HTTPForbidden(description="A token of one customer may not change packages")


class PackageCollection:
    """GET of /api/package-configs."""

    def __init__(self, packages: _Packages) -> None:
        self._packages = packages

    @costs(Cost.COSTLY_READ)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the organization's packages."""
        principal: Principal = req.context.principal
        require(principal, Action.READ_ORGANIZATION)
        organization = asked_organization(req, principal, self._packages.reader)
        resp.media = self._packages.list(
            organization["public_id"] if organization else principal.organization_id
        )


class PackageItem:
    """PATCH and DELETE of one package."""

    def __init__(self, packages: _Packages) -> None:
        self._packages = packages

    def on_patch(self, req: falcon.Request, resp: falcon.Response, package_type: str) -> None:
        """Change a package, or make it."""
        principal: Principal = req.context.principal
        key = _key(package_type)
        _require_admin_of_all(principal)
        changes = read_fields(UpdatePackageBody, read_object(req))
        if changes.pop("packageType", key) != key:
            raise invalid([Problem("packageType", "fixed", "must be that of the path")])
        resp.media = self._packages.change(req, principal, key, changes)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, package_type: str) -> None:
        """Delete a package that no customer has."""
        principal: Principal = req.context.principal
        key = _key(package_type)
        _require_admin_of_all(principal)
        self._packages.delete(req, principal, key)
        resp.media = {"success": True}


TAG: Final = Tag("Packages", "Sets of defaults for alerts; each customer has one or none.")
_PACKAGE_TYPE: Final = path_parameter("package_type", NAME, "Its `packageType`.")


def _operations() -> Iterator[DocumentedOperation]:
    yield DocumentedOperation(
        method="get",
        path="/api/package-configs",
        name="listPackageConfigs",
        tag=TAG.name,
        summary="List packages",
        description="By number. A customer has the package that its `packageType` names.",
        parameters=(OWNER_PARAMETERS[0],),
        answers={200: json_answer("The packages", "PackageConfigList")},
        errors=(400, 403),
    )
    yield DocumentedOperation(
        method="patch",
        path="/api/package-configs/{package_type}",
        name="setPackageConfig",
        tag=TAG.name,
        summary="Change a package, or make it",
        description="Alerting follows it at once. Keys that do not concern alerts are kept and "
        "shown, and have no effect.",
        parameters=(_PACKAGE_TYPE,),
        body=ref("UpdatePackageConfig"),
        answers={200: json_answer("The package", "PackageConfig")},
        errors=(*BODY_ERRORS, 403, 409),
    )
    yield DocumentedOperation(
        method="delete",
        path="/api/package-configs/{package_type}",
        name="deletePackageConfig",
        tag=TAG.name,
        summary="Delete a package",
        description="409 while customers have it.",
        parameters=(_PACKAGE_TYPE,),
        answers={200: json_answer("Deleted", "Success")},
        errors=(400, 403, 404, 409),
    )


def _schemas() -> Schema:
    shown = {
        "id": NUMBER,
        "packageType": {"type": "string"},
        **{key: _SCHEMAS[key] for key in _DOCUMENTED},
        "createdAt": TIME,
        "updatedAt": TIME,
        "usedByCustomerCount": described(COUNT, "How many customers have it."),
        "publicId": UUID_SCHEMA,
        **{key: _SCHEMAS[key] for key in _OURS},
    }
    return {
        "UpdatePackageConfig": UpdatePackageBody.schema_of_body(),
        "PackageConfig": closed(shown),
        "PackageConfigList": {"type": "array", "items": ref("PackageConfig")},
    }


def _routes(parts: Parts) -> Iterator[Route]:
    packages = _Packages(parts)
    yield Route("/api/package-configs", PackageCollection(packages))
    yield Route("/api/package-configs/{package_type}", PackageItem(packages))


RESOURCE: Final = Resource(tags=(TAG,), routes=_routes, operations=_operations, schemas=_schemas)
