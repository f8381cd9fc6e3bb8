"""What people set up beside monitors, as it is now: a part of the `monitors` view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from domain.clock import iso_milliseconds
from domain.fields import current_values, keys_of
from domain.maintenance_window import MaintenanceWindow
from domain.notification_channel import NotificationChannel, shown_config
from domain.package_config import PackageConfig
from domain.tag import MonitorTags, Tag
from projections.core.projection import EventHandler
from projections.core.table import Table
from projections.views.records import existing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.resource import Resource
    from projections.core.table import Record


def _table(name: str, kind: str, resource_class: type[Resource], **audited: str) -> Table:
    fields = {
        key: field for key, field in keys_of(resource_class.FIELDS).items() if key != "config"
    }
    return Table(
        name,
        {"organization_id": "TEXT", "number": "INTEGER"},
        lambda record: (record["organization_id"], record["number"]),
        indexes=(("organization_id", "number"), ("number",)),
        kind=kind,
        audited={**fields, **audited},
    )


WINDOWS: Final = _table("maintenance_windows", "maintenanceWindow", MaintenanceWindow)
CHANNELS: Final = _table(
    "notification_channels",
    "notificationChannel",
    NotificationChannel,
    config="shown_config",
    secretVersion="secret_version",
)
TAGS: Final = _table("tags", "tag", Tag)
PACKAGES: Final = _table("package_configs", "packageConfig", PackageConfig)
MONITOR_TAGS: Final = Table(
    "monitor_tags",
    {"monitor_id": "TEXT", "tag_id": "TEXT"},
    lambda record: (record["monitor_id"], record["tag_id"]),
    indexes=(("monitor_id", "tag_id"), ("tag_id", "monitor_id")),
)
"""A row for each tag that a monitor has; the rows of deleted tags and monitors stay."""

TABLES: Final = (WINDOWS, CHANNELS, TAGS, PACKAGES, MONITOR_TAGS)
TABLE_OF: Final[Mapping[type[Resource], Table]] = {
    MaintenanceWindow: WINDOWS,
    NotificationChannel: CHANNELS,
    Tag: TAGS,
    PackageConfig: PACKAGES,
}


def created(_: Record | None, event: Resource.Created) -> Record:
    """Fold a created resource."""
    resource_class = _CLASS_OF[type(event)]
    at = iso_milliseconds(event.timestamp)
    return _with_derived(
        {
            "public_id": str(event.originator_id),
            "number": event.number,
            "organization_id": event.organization_id,
            "created_by": event.actor["id"],
            **resource_class.defaults(),
            **event.fields,
            "version": event.originator_version,
            "created_at": at,
            "updated_at": at,
        },
        None,
    )


def updated(record: Record | None, event: Resource.Updated) -> Record:
    """Fold a change."""
    before = existing(record)
    after = {
        **before,
        **event.changes,
        "version": event.originator_version,
        "updated_at": iso_milliseconds(event.timestamp),
    }
    return _with_derived(after, before)


def deleted(record: Record | None, _: Resource.Deleted) -> None:
    """Fold a deletion: the row is removed."""
    existing(record)


def _with_derived(record: Record, before: Record | None) -> Record:
    """Add what the audit log shows of a channel: its config without secrets, and their version."""
    if "config" not in record:
        return record if "name" in record else {**record, "name": record["package_type"]}
    shown = shown_config(record["type"], record["config"])
    was = before["config"] if before else {}
    secrets = [key for key, value in shown.items() if value is None and key in record["config"]]
    is_new = any(record["config"][key] != was.get(key) for key in secrets)
    version = (before["secret_version"] if before else 0) + is_new
    return {**record, "shown_config": shown, "secret_version": version}


def record_of(resource: Resource, created_by: str) -> Record:
    """Return the record of a resource from the aggregate, without what the audit log shows."""
    return {
        "public_id": str(resource.id),
        "number": resource.number,
        "organization_id": resource.organization_id,
        "created_by": created_by,
        **current_values(resource, resource.FIELDS),
        "version": resource.version,
        "created_at": iso_milliseconds(resource.created_on),
        "updated_at": iso_milliseconds(resource.modified_on),
    }


def tagged(_: Record | None, event: MonitorTags.Created | MonitorTags.Assigned) -> Record:
    """Fold a tag that a monitor got."""
    return {
        "monitor_id": event.monitor_id,
        "tag_id": event.tag_id,
        "since": iso_milliseconds(event.timestamp),
    }


def untagged(record: Record | None, _: MonitorTags.Removed) -> None:
    """Fold a tag that a monitor lost: the row is removed."""
    existing(record)


def _key(event: Any) -> str:  # noqa: ANN401 - any event of the library
    return str(event.originator_id)


def _tag_key(event: Any) -> str:  # noqa: ANN401 - any event of monitor tags
    return f"{event.monitor_id} {event.tag_id}"


_CLASS_OF: Final[Mapping[type, type[Resource]]] = {each.Created: each for each in TABLE_OF}

RESOURCE_HANDLERS: Final[Mapping[type, EventHandler]] = {
    event: EventHandler(table, _key, fold)
    for resource_class, table in TABLE_OF.items()
    for event, fold in (
        (resource_class.Created, created),
        (resource_class.Updated, updated),
        (resource_class.Deleted, deleted),
    )
}
TAG_HANDLERS: Final[Mapping[type, EventHandler]] = {
    MonitorTags.Created: EventHandler(MONITOR_TAGS, _tag_key, tagged),
    MonitorTags.Assigned: EventHandler(MONITOR_TAGS, _tag_key, tagged),
    MonitorTags.Removed: EventHandler(MONITOR_TAGS, _tag_key, untagged),
}
"""The history puts these events beside those of the monitor, without versions of their own."""
