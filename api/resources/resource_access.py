"""What the endpoints of tags and maintenance windows share: finding, changing and showing one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from api.http.errors import InvalidParameterError
from api.http.parameters import identifier_of
from api.http.preconditions import idempotency_key
from api.http.read_your_writes import catch_up, retry_after_catch_up
from domain.errors import ConflictError, NotFoundError
from projections.views.resources import TABLE_OF, record_of

if TYPE_CHECKING:
    import falcon

    from api.http.permissions import Principal
    from api.resources.parts import Parts
    from domain.resource import Fields, Resource
    from projections.core.table import Record


class ResourceAccess:
    """The resources of one class, as a caller may see and change them.

    `most` is the largest number of them in an organization.
    """

    def __init__(self, parts: Parts, resource_class: type[Resource], most: int) -> None:
        self.reader = parts.reader
        self._class = resource_class
        self._table = TABLE_OF[resource_class]
        self._most = most
        self._monitoring = parts.monitoring
        self._projector = parts.projector

    def list(self, organization_id: str) -> list[Record]:
        """Return those of an organization, by number."""
        return list(self.reader.resources(self._table, organization_id))

    def find(self, text: str, principal: Principal) -> Record:
        """Return one by number or public id. Raises 400, or 404 also for a foreign one."""
        label = self._class.LABEL
        identifier = identifier_of(text)
        if identifier is None:
            raise InvalidParameterError(
                "identifier", "must be a number or a UUID", text=f"Invalid {label.lower()} ID"
            )
        found = self.reader.resource(self._table, identifier)
        if found is None and retry_after_catch_up(self._projector):
            found = self.reader.resource(self._table, identifier)
        if found is None or not principal.sees_organization(found["organization_id"]):
            raise NotFoundError(f"{label} not found")
        return found

    def create(self, req: falcon.Request, principal: Principal, fields: Fields) -> Record:
        """Create one. Raises ConflictError when the organization has as many as it may."""
        organization_id = principal.organization_id
        if len(self.list(organization_id)) >= self._most:
            raise ConflictError(
                f"The organization has {self._most} already, the most that are allowed; "
                "delete one first"
            )
        made = self._monitoring.resources.create(
            self._class,
            UUID(organization_id),
            fields,
            principal.actor(req.context.request_id),
            repeat=idempotency_key(req, self._monitoring, principal, self._class.KIND),
        )
        catch_up(self._projector)
        return record_of(made, principal.token_id)

    def update(
        self, req: falcon.Request, principal: Principal, record: Record, changes: dict[str, Any]
    ) -> Record:
        """Change one that `find` returned."""
        changed = self._monitoring.resources.update(
            self._class,
            UUID(record["organization_id"]),
            UUID(record["public_id"]),
            changes,
            principal.actor(req.context.request_id),
        )
        catch_up(self._projector)
        return record_of(changed, record["created_by"])

    def delete(self, req: falcon.Request, principal: Principal, record: Record) -> None:
        """Delete one that `find` returned."""
        self._monitoring.resources.delete(
            self._class,
            UUID(record["organization_id"]),
            UUID(record["public_id"]),
            principal.actor(req.context.request_id),
        )
        catch_up(self._projector)
