"""The filters of the audit log, and the part of it that a caller may see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import falcon

from api.fields import parse_uuid
from api.scope import asked_customer, asked_organization
from domain.errors import InvalidValueError, NotFoundError
from domain.moment import parse_time
from projections.history import TYPES
from projections.history_reader import EntryFilter

if TYPE_CHECKING:
    from api.permissions import Principal
    from projections.history_reader import HistoryReader
    from projections.reader import Reader
    from projections.view import Record


def read_filter(
    req: falcon.Request, principal: Principal, reader: Reader, history: HistoryReader
) -> EntryFilter:
    """Return what the caller asks for within what it may see. Raises 400, 403, 404."""
    types, begin, end = _types(req), _time(req, "from"), _time(req, "to")
    if begin is not None and end is not None and end < begin:
        raise falcon.HTTPBadRequest(description="Invalid to: must not lie before from")
    organization: Any = asked_organization(req, principal, reader)
    if organization is None:
        organization = reader.organization(principal.organization_id)
    customer: Any = asked_customer(req, principal, reader)
    of_one_customer = principal.customer_id is not None
    if customer is None and of_one_customer:
        customer = reader.customer(str(principal.customer_id))
    return EntryFilter(
        organization=organization["number"],
        # What belongs to nobody is for those who look after a whole organization.
        installation=not of_one_customer,
        customer=customer["number"] if customer or of_one_customer else None,
        thing=_monitor(req, principal, history),
        actor=req.get_param("actor"),
        types=types,
        begin=begin,
        end=end,
    )


def _types(req: falcon.Request) -> tuple[str, ...]:
    asked = [each for text in req.get_param_as_list("type") or () for each in text.split(",")]
    if not set(asked) <= set(TYPES):
        raise falcon.HTTPBadRequest(
            description=f"Invalid type: must be one or more of {', '.join(TYPES)}"
        )
    return tuple(dict.fromkeys(asked))


def _time(req: falcon.Request, name: str) -> str | None:
    text = req.get_param(name)
    if text is None:
        return None
    try:
        return parse_time(text.replace(" ", "+"))
    except InvalidValueError as error:
        raise falcon.HTTPBadRequest(description=f"Invalid {name}: {error.message}") from None


def _monitor(req: falcon.Request, principal: Principal, history: HistoryReader) -> str | None:
    text = req.get_param("monitorId")
    if text is None:
        return None
    key = parse_uuid(text)
    if key is None:
        raise falcon.HTTPBadRequest(
            description="Invalid monitorId: must be the public ID (UUID) of a monitor"
        )
    thing: Record | None = history.thing(key)
    is_monitor = thing is not None and thing["kind"] in {"smtp", "imap_pop"}
    if thing is None or not is_monitor or not principal.sees_organization(thing["organization_id"]):
        raise NotFoundError("Monitor not found")
    if not principal.covers_customer(thing["customer_id"]):
        raise falcon.HTTPForbidden(description="The monitor is outside the token's customer")
    return key
