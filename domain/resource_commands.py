"""The commands that create, change and delete resources, and put tags on monitors."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID, uuid4

from domain.errors import NotFoundError, SecretUnreadableError
from domain.maintenance_window import MaintenanceWindow
from domain.monitor import Monitor
from domain.notification_channel import (
    NotificationChannel,
    merge_config,
    seal_config,
    unseal_config,
)
from domain.package_config import PackageConfig, package_id
from domain.resource import Fields, Resource
from domain.tag import MonitorTags, Tag, monitor_tags_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.actor import Actor
    from domain.idempotency import IdempotencyKey
    from domain.monitoring import Monitoring
    from domain.sealed_config import SecretVault


R = TypeVar("R", bound=Resource)

RESOURCES: Final[Mapping[str, type[Resource]]] = {
    each.KIND: each for each in (MaintenanceWindow, NotificationChannel, Tag, PackageConfig)
}
"""Every class of resources by its kind."""


class ResourceCommands:
    """Changes what people set up beside monitors. Every change is an event of its log."""

    def __init__(self, monitoring: Monitoring, vault: SecretVault) -> None:
        self._monitoring = monitoring
        self._vault = vault

    def create(
        self,
        resource_class: type[R],
        organization_id: UUID,
        fields: Fields,
        actor: Actor,
        *,
        repeat: IdempotencyKey | None = None,
    ) -> R:
        """Create a resource. Raises InvalidInputError on fields that contradict each other.

        A request that was made before returns the resource as it was made then.
        """
        resource_id = uuid4()
        if resource_class is NotificationChannel:
            config = self._seal(resource_id, fields["type"], fields["config"])
            fields = {**fields, "config": config}
        return self._monitoring.create_numbered(
            resource_class.KIND,
            lambda number: resource_class.create(
                number,
                organization_id,
                fields,
                resource_id=resource_id,
                actor=actor,
                now=self._monitoring.clock(),
            ),
            actor,
            repeat=repeat,
        )

    def update(
        self,
        resource_class: type[R],
        organization_id: UUID,
        resource_id: UUID,
        changes: Fields,
        actor: Actor,
        *,
        expected_version: int | None = None,
    ) -> R:
        """Change a resource; an update without a change records nothing.

        Raises NotFoundError, StaleVersionError or InvalidInputError.
        """

        def attempt() -> R:
            found = self._load(resource_class, organization_id, resource_id, expected_version)
            real = changes
            if isinstance(found, NotificationChannel) and "config" in changes:
                real = {**changes, "config": self._changed_config(found, changes["config"])}
            if found.update(real, actor=actor, now=self._monitoring.clock()):
                self._monitoring.save(found)
            return found

        return self._monitoring.run(attempt)

    def delete(
        self, resource_class: type[Resource], organization_id: UUID, resource_id: UUID, actor: Actor
    ) -> None:
        """Delete a resource, and destroy its secrets. Raises NotFoundError."""

        def attempt() -> None:
            found = self._load(resource_class, organization_id, resource_id, None)
            found.delete(actor=actor, now=self._monitoring.clock())
            self._monitoring.save(found)

        self._monitoring.run(attempt)
        if resource_class is NotificationChannel:
            self._monitoring.destroy_key(resource_id)

    def set_package(
        self, organization_id: UUID, package_type: str, changes: Fields, actor: Actor
    ) -> PackageConfig:
        """Change the package of an organization with this key; make it when there is none."""
        fields = {**changes, "package_type": package_type}

        def attempt() -> PackageConfig:
            for generation in count(1):  # pragma: no branch - it has no end
                key = package_id(organization_id, package_type, generation)
                found = self._monitoring.find(PackageConfig, key)
                if found is None or not found.deleted:
                    break
            now = self._monitoring.clock()
            if found is None:
                return self._monitoring.add_numbered(
                    PackageConfig.KIND,
                    lambda number: PackageConfig.create(
                        number, organization_id, fields, resource_id=key, actor=actor, now=now
                    ),
                    actor,
                )
            if found.update(fields, actor=actor, now=now):
                self._monitoring.save(found)
            return found

        return self._monitoring.run(attempt)

    def tag_monitor(
        self, organization_id: UUID, monitor_id: UUID, tag_id: UUID, actor: Actor
    ) -> MonitorTags:
        """Put a tag on a monitor; a tag that it has already records nothing.

        Raises NotFoundError.
        """

        def attempt() -> MonitorTags:
            tag = self._load(Tag, organization_id, tag_id, None)
            monitor = self._monitoring.load(Monitor, monitor_id, "Monitor not found")
            if monitor.deleted or monitor.organization_id != str(organization_id):
                raise NotFoundError("Monitor not found")
            now = self._monitoring.clock()
            tags = self._monitoring.find(MonitorTags, monitor_tags_id(monitor_id))
            if tags is None:
                tags = MonitorTags.create(monitor, tag, actor=actor, now=now)
                self._monitoring.save(tags)
            elif tags.assign(monitor, tag, actor=actor, now=now):
                self._monitoring.save(tags)
            return tags

        return self._monitoring.run(attempt)

    def untag_monitor(
        self, organization_id: UUID, monitor_id: UUID, tag_id: UUID, actor: Actor
    ) -> None:
        """Take a tag from a monitor; a tag that it does not have records nothing."""

        def attempt() -> None:
            tags = self._monitoring.find(MonitorTags, monitor_tags_id(monitor_id))
            tag = self._monitoring.find(Tag, tag_id)
            if tags is None or tag is None or tags.organization_id != str(organization_id):
                return
            monitor = self._monitoring.load(Monitor, monitor_id, "Monitor not found")
            if tags.remove(monitor, tag, actor=actor, now=self._monitoring.clock()):
                self._monitoring.save(tags)

        self._monitoring.run(attempt)

    def unsealed_channel(self, channel_id: UUID, type_name: str, config: Fields) -> Fields:
        """Return the config of a channel with its secrets in clear, for sending.

        Raises SecretUnreadableError when the channel was deleted.
        """
        return unseal_config(type_name, config, lambda text: self._vault.unseal(channel_id, text))

    def _load(
        self,
        resource_class: type[R],
        organization_id: UUID,
        resource_id: UUID,
        expected_version: int | None,
    ) -> R:
        missing = f"{resource_class.LABEL} not found"
        found = self._monitoring.load(resource_class, resource_id, missing)
        found.require(organization_id, expected_version)
        return found

    def _seal(self, owner: UUID, type_name: str, config: Fields) -> Fields:
        return seal_config(type_name, config, lambda secret: self._vault.seal(owner, secret))

    def _changed_config(self, channel: NotificationChannel, sent: Fields) -> Fields:
        """Return the config of a channel changed by a sent one, sealed.

        A secret that did not change keeps its sealed text, so that an update without a change
        records nothing.
        """
        stored, kind = channel.config, channel.type
        try:
            clear = self.unsealed_channel(channel.id, kind, stored)
        except SecretUnreadableError:
            clear = {}
        config = {
            key: stored[key] if key in clear and clear[key] == value else value
            for key, value in merge_config(kind, stored, sent).items()
        }
        return self._seal(channel.id, kind, config)
