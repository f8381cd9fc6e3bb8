"""What the endpoints of one kind of monitors share: finding, judging and showing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import falcon

from api import monitor_fields, read_back
from api.errors import invalid
from api.fields import parse_uuid
from api.permissions import Action, Principal
from api.preconditions import entity_tag
from domain.errors import InvalidInputError, NotFoundError, SecretUnreadableError
from domain.secret_fields import mask_secret
from domain.storage.failures import STORE_AWAY
from projections import records
from projections.reader import MonitorView
from projections.shapes import Shape, monitor_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from api.as_of import Answers, AsOf
    from domain.mail_config import Kind
    from domain.monitoring import Monitoring
    from projections.catch_up import Projector
    from projections.reader import Reader, ShownMonitor
    from projections.view import Record


@dataclass(frozen=True, slots=True)
class Family:
    """One of the two kinds of monitors, in the words of its documented pages."""

    kind: Kind
    path: str
    id_required: str
    not_found: str


FAMILIES: Final = (
    Family("smtp", "/api/smtp-monitors", "SMTP monitor public ID (UUID) required", "Not found"),
    Family(
        "imap_pop",
        "/api/imap-pop-monitors",
        "IMAP/POP monitor public ID (UUID) required",
        "IMAP/POP monitor not found",
    ),
)


_UNREADABLE: Final[tuple[type[Exception], ...]] = (SecretUnreadableError, *STORE_AWAY)
"""Why a stored password cannot be had: its key was destroyed, or cannot be read now."""


class Monitors:
    """The monitors of one kind, as a caller may see and change them."""

    def __init__(
        self,
        family: Family,
        monitoring: Monitoring,
        reader: Reader,
        projector: Projector,
        as_of: AsOf,
    ) -> None:
        self.family = family
        self.monitoring = monitoring
        self.reader = reader
        self.as_of = as_of
        self._projector = projector

    def find(self, public_id: str, principal: Principal) -> MonitorView:
        """Return a monitor that the caller may know of; raises 400, 404 or 403."""
        key = self.key(public_id)
        found = self.reader.monitor(self.family.kind, key)
        if found is None and read_back.may_be_there(self._projector):
            found = self.reader.monitor(self.family.kind, key)
        if found is None:
            raise NotFoundError(self.family.not_found)
        monitor = found.monitor
        self.require_scope(principal, monitor["organization_id"], monitor["customer_id"])
        return found

    def read(self, public_id: str, principal: Principal, answers: Answers) -> ShownMonitor:
        """Return the answer to GET one; raises 400, 404 or 403.

        What the view does not show may be in the log, unless somebody asks for the past.
        """
        kind, key = self.family.kind, self.key(public_id)
        found = answers.shown_monitor(kind, key)
        if found is None and answers is self.reader and read_back.may_be_there(self._projector):
            found = answers.shown_monitor(kind, key)
        if found is None:
            raise NotFoundError(self.family.not_found)
        self.require_scope(principal, found.organization_id, found.customer_id)
        return found

    def created(self, monitor_id: UUID, customer: Record, principal: Principal) -> Shape:
        """Return the answer to a create: the monitor as it was made, also when asked again."""
        self.catch_up()
        event = self.monitoring.created(monitor_id)
        organization: Any = self.reader.organization(event.organization_id)
        view = MonitorView(records.monitor(None, event), customer, organization, None)
        return self._with_secret(view, principal)

    def updated(self, monitor_id: UUID, principal: Principal, resp: falcon.Response) -> Shape:
        """Return the answer to a PATCH, after the view has caught up with it."""
        is_shown = self.catch_up()
        view = self.reader.monitor(self.family.kind, str(monitor_id))
        if view is not None and not is_shown:
            record = read_back.folded(self.monitoring, self._projector.projection, monitor_id)
            view = view._replace(monitor=record) if record else None
        if view is None:
            raise NotFoundError(self.family.not_found)
        resp.etag = entity_tag(view.monitor["version"])
        return self._with_secret(view, principal)

    def catch_up(self) -> bool:
        """Let the caller read what it wrote, on any worker; return whether that worked."""
        return read_back.catch_up(self._projector)

    def command(self, send: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever the command gives
        """Run a command; problems of a config get the path of the documented key."""
        try:
            return send()
        except InvalidInputError as error:
            key = monitor_fields.CONFIG_KEYS[self.family.kind][0]
            raise invalid(monitor_fields.below(key, error.problems)) from None

    def key(self, public_id: str) -> str:
        """Return a public id in its normal form; raises 400 for what is none."""
        key = parse_uuid(public_id)
        if key is None:
            raise falcon.HTTPBadRequest(description=self.family.id_required)
        return key

    def require_scope(self, principal: Principal, organization_id: str, customer_id: str) -> None:
        """Raise 404 for another organization's monitor, 403 for another customer's."""
        if not principal.sees_organization(organization_id):
            raise NotFoundError(self.family.not_found)
        if not principal.covers_customer(customer_id):
            raise falcon.HTTPForbidden(description="The monitor is outside the token's customer")

    def _with_secret(self, view: MonitorView, principal: Principal) -> Shape:
        """Return the answer to a write: with the secret for those who may write it.

        The write is recorded by now: when the key cannot be read, the answer has the mask.
        """
        kind, monitor = self.family.kind, view.monitor
        masked = mask_secret(kind, monitor["config"])
        if not principal.may(Action.SEE_SECRETS):
            return monitor_shape(view, "written", masked)
        try:
            config = self.monitoring.unsealed(UUID(monitor["public_id"]), kind, monitor["config"])
        except _UNREADABLE:
            return monitor_shape(view, "written", masked)
        return monitor_shape(view, "written", config)
