"""The `monitors` view: what people set up, as it is now.

Organizations, customers, tokens, locations and monitors are here, and beside them what
`resources` adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from domain.access_token import AccessToken
from domain.fields import CUSTOMER_FIELDS, MONITOR_FIELDS, keys_of
from domain.location import MonitoringLocation
from domain.monitor import Monitor
from domain.organization import Customer, Organization
from projections.core.projection import EventHandler, Projection
from projections.core.table import Table
from projections.shapes import monitor
from projections.views import records, resources

if TYPE_CHECKING:
    from projections.core.table import Record


def search_text(record: Record) -> str:
    """Return the text of a monitor or a customer in which a search looks for a part."""
    name: str = record["name"].casefold()
    return f"{name}\n{record['hostname']}" if "hostname" in record else name


ORGANIZATIONS: Final = Table(
    "organizations",
    {"number": "INTEGER"},
    lambda record: (record["number"],),
    indexes=(("number",),),
    kind="organization",
    audited={"name": "name"},
)
CUSTOMERS: Final = Table(
    "customers",
    {
        "organization_id": "TEXT",
        "number": "INTEGER",
        "search": "TEXT",
        "listed_name": "TEXT",
        "embedded": "TEXT",
    },
    lambda record: (
        record["organization_id"],
        record["number"],
        search_text(record),
        orjson.dumps(record["name"]).decode(),
        monitor.customer_template(record),
    ),
    indexes=(("number",), ("organization_id", "number")),
    kind="customer",
    audited=keys_of(CUSTOMER_FIELDS),
)
TOKENS: Final = Table(
    "tokens",
    {"token_hash": "TEXT", "organization_id": "TEXT", "number": "INTEGER"},
    lambda record: (record["token_hash"], record["organization_id"], record["number"]),
    indexes=(("token_hash",), ("organization_id", "number")),
    kind="token",
    audited={"name": "name", "role": "role", "expiresAt": "expires_at"},
)
LOCATIONS: Final = Table(
    "locations",
    {"number": "INTEGER"},
    lambda record: (record["number"],),
    indexes=(("number",),),
    kind="location",
    audited={"code": "code", "name": "name", "countryCode": "country"},
)


def _monitor_columns(record: Record) -> tuple[str | int | None, ...]:
    return (
        record["kind"],
        record["organization_id"],
        record["customer_id"],
        record["number"],
        record["version"],
        search_text(record),
        monitor.monitor_template(record, "listed"),
        monitor.monitor_template(record, "read"),
    )


MONITORS: Final = Table(
    "monitors",
    {
        "kind": "TEXT",
        "organization_id": "TEXT",
        "customer_id": "TEXT",
        "number": "INTEGER",
        "version": "INTEGER",
        "search": "TEXT",
        "listed": "TEXT",
        "shown": "TEXT",
    },
    _monitor_columns,
    indexes=(
        ("kind", "organization_id", "number"),
        ("kind", "customer_id", "number"),
    ),
    counted=(
        ("kind", "organization_id"),
        ("kind", "organization_id", "customer_id"),
    ),
    searched="search",
    audited={key: field for key, field in keys_of(MONITOR_FIELDS).items() if field != "config"},
)
"""Its records say their kind. The audit log shows a config field by field."""


def _key(event: Any) -> str:  # noqa: ANN401 - any event of the library
    return str(event.originator_id)


PROJECTION: Final = Projection(
    name="monitors",
    log="monitoring",
    tables=(ORGANIZATIONS, CUSTOMERS, TOKENS, LOCATIONS, MONITORS, *resources.TABLES),
    handlers={
        Organization.Created: EventHandler(ORGANIZATIONS, _key, records.organization),
        Customer.Created: EventHandler(CUSTOMERS, _key, records.customer),
        Customer.Updated: EventHandler(CUSTOMERS, _key, records.updated_customer),
        MonitoringLocation.Created: EventHandler(LOCATIONS, _key, records.location),
        MonitoringLocation.Updated: EventHandler(LOCATIONS, _key, records.updated_location),
        MonitoringLocation.Retired: EventHandler(LOCATIONS, _key, records.retired_location),
        MonitoringLocation.Restored: EventHandler(LOCATIONS, _key, records.restored_location),
        AccessToken.Created: EventHandler(TOKENS, _key, records.token),
        AccessToken.Used: EventHandler(TOKENS, _key, records.used_token),
        AccessToken.Revoked: EventHandler(TOKENS, _key, records.revoked_token),
        Monitor.Created: EventHandler(MONITORS, _key, records.monitor),
        Monitor.Updated: EventHandler(MONITORS, _key, records.updated_monitor),
        Monitor.Deleted: EventHandler(MONITORS, _key, records.deleted_monitor),
        **resources.RESOURCE_HANDLERS,
        **resources.TAG_HANDLERS,
    },
    version=3,
)
