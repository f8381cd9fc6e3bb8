"""The documented JSON of monitors: pure functions from what a view holds.

The keys are in the documented order (contract part B, 4 and 5), followed by added keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from domain.config_secrets import mask_secrets
from domain.fields import MONITOR_FIELDS, keys_of
from domain.kinds import KINDS
from projections.shapes.customer import customer_shape
from projections.shapes.template import PLACEHOLDER, as_template

if TYPE_CHECKING:
    from domain.kinds import Config
    from projections.core.table import Record
    from projections.readers.monitors import MonitorRecords


Shape = dict[str, Any]
ShapeForm = Literal["written", "read", "listed"]
"""`written` answers POST and PATCH, `read` answers GET one, `listed` is an item of a list."""

_HEAD: Final = ("id", "organizationId", "customerId", "name", "hostname", "port")
_TIMES: Final = ("lastCheckedAt", "createdAt", "updatedAt")
_SMTP_SETTINGS: Final = ("status", "checkInterval", "timeoutSeconds")
_SMTP_CONTACTS: Final = ("notificationEmail", "notificationPhoneNumber")
_IMAP_SETTINGS: Final = ("checkInterval", "timeoutSeconds")
_IMAP_CONTACTS: Final = ("status", "notificationPhoneNumber", "notificationEmail")

_DOCUMENTED: Final = {
    *_HEAD,
    *_SMTP_SETTINGS,
    *_SMTP_CONTACTS,
    "config",
    "allowedCheckCountryCodes",
}
_NEW: Final = tuple(key for key in keys_of(MONITOR_FIELDS) if key not in _DOCUMENTED)
"""Keys of fields without a documented place: they come last in every shape."""

_OURS: Final = ("publicId", "allowedCheckCountryCodes", *_NEW)

_CONFIG_KEYS: Final = frozenset({"config", *(each.config_key for each in KINDS.values())})
_OTHERS: Final = ("organizationId", "customerId", "customerName", "lastCheckedAt", "customer")
"""Keys whose value is not in the monitor's own record."""

_Keys = Mapping[ShapeForm, tuple[str, ...]]


def _keys(config_key: str) -> _Keys:
    """Return the keys of a kind whose shapes follow those of SMTP monitors."""
    settings, tail = (*_HEAD, *_SMTP_SETTINGS), (*_SMTP_CONTACTS, *_TIMES, "config")
    return {
        "written": (*settings, *tail, config_key, *_OURS),
        "read": (*settings, "customerName", *tail, config_key, *_OURS),
        "listed": (*settings, "customerName", *tail, *_OURS),
    }


_IMAP_POP_KEYS: Final[_Keys] = {
    "written": (
        *_HEAD,
        *_IMAP_SETTINGS,
        *_IMAP_CONTACTS,
        *_TIMES,
        "config",
        "imapPopConfig",
        *_OURS,
    ),
    "read": (
        *_HEAD,
        *_IMAP_SETTINGS,
        "config",
        "allowedCheckCountryCodes",
        *_IMAP_CONTACTS,
        *_TIMES,
        "customer",
        "imapPopConfig",
        "publicId",
        *_NEW,
    ),
    "listed": (
        *_HEAD,
        *_IMAP_SETTINGS,
        "customerName",
        "config",
        *_IMAP_CONTACTS,
        *_TIMES,
        *_OURS,
    ),
}
"""The documented order of IMAP and POP monitors, which differs from form to form."""

KEYS: Final[Mapping[tuple[str, ShapeForm], tuple[str, ...]]] = {
    (kind.name, form): keys
    for kind in KINDS.values()
    for form, keys in (
        _IMAP_POP_KEYS if kind.name == "imap_pop" else _keys(kind.config_key)
    ).items()
}
"""The keys of each kind in each form, in the documented order."""

FIELDS: Final[Mapping[str, str]] = {
    "id": "number",
    "publicId": "public_id",
    **{key: field for key, field in keys_of(MONITOR_FIELDS).items() if field != "config"},
    "createdAt": "created_at",
    "updatedAt": "updated_at",
}
"""Documented keys whose value is in the monitor's own record."""

_PLAN: Final = {
    which: tuple((key, FIELDS.get(key)) for key in keys) for which, keys in KEYS.items()
}


PLACEHOLDERS: Final[Mapping[tuple[str, ShapeForm], tuple[str, ...]]] = {
    which: tuple(key for key in keys if key in _OTHERS) for which, keys in KEYS.items()
}
"""The keys of each shape whose value comes from another row, in the order of the shape."""


def monitor_template(monitor: Record, form: ShapeForm) -> str:
    """Return the JSON of a monitor with `%s` for each of its placeholders; `%` is doubled.

    The `monitors` view stores templates. A query fills them with the values of other rows, so
    that reading a list makes no object of each monitor.
    """
    config = mask_secrets(monitor["config"])
    others = dict.fromkeys(PLACEHOLDERS[monitor["kind"], form], PLACEHOLDER)
    return as_template(_own_part(monitor, form, config) | others)


def customer_template(customer: Record) -> str:
    """Return the JSON of a customer inside a monitor; `%s` is the organization's number."""
    return as_template(customer_shape(customer, {"number": PLACEHOLDER}, "embedded"))


def monitor_shape(view: MonitorRecords, form: ShapeForm, config: Config) -> Shape:
    """Return the documented shape of a monitor.

    `config` is what may be shown to the caller: masked, or with its secret in clear.
    """
    shape = _own_part(view.monitor, form, config)
    shape["organizationId"] = view.organization["number"]
    shape["customerId"] = view.customer["number"]
    shape["lastCheckedAt"] = view.last_checked_at
    if "customerName" in shape:
        shape["customerName"] = view.customer["name"]
    if "customer" in shape:
        shape["customer"] = customer_shape(view.customer, view.organization, "embedded")
    return shape


def _own_part(monitor: Record, form: ShapeForm, config: Config) -> Shape:
    """Return a shape with all its keys, and the values that the monitor itself gives."""
    plan = _PLAN[monitor["kind"], form]
    shape = {key: None if field is None else monitor[field] for key, field in plan}
    for key in shape.keys() & _CONFIG_KEYS:
        shape[key] = config
    return shape
