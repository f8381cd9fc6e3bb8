"""What people ask the checkers to do with a monitor: check it now, or try its login again.

Requests are events in streams of their own: they must not move the version of the monitor,
which running checks and careful clients (`If-Match`) depend on. Checkers follow the log and do
what a new request asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from eventsourcing.domain import DomainEvent
from eventsourcing.utils import register_topic

from domain.actor import Actor  # noqa: TC001 - part of the stored events' definitions
from domain.config_secrets import has_login_secret, read_user
from domain.errors import ConflictError, NotFoundError
from domain.monitor import Monitor

if TYPE_CHECKING:
    from domain.monitoring import Monitoring


REPEAT_SECONDS: Final = 10
"""A request that follows the last one of its kind so soon records nothing."""

_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:postwatch:monitor-requests")


@dataclass(frozen=True)
class CheckRequested(DomainEvent):
    """People asked for a check of a monitor at once."""

    TOPIC = "CheckRequested"

    monitor_id: str
    actor: Actor


@dataclass(frozen=True)
class LoginRetryRequested(DomainEvent):
    """People asked that a login which the server refused is tried again at once."""

    TOPIC = "LoginRetryRequested"

    monitor_id: str
    actor: Actor


register_topic(CheckRequested.TOPIC, CheckRequested)
register_topic(LoginRetryRequested.TOPIC, LoginRetryRequested)

Q = TypeVar("Q", CheckRequested, LoginRetryRequested)


def requests_id(
    monitor_id: UUID, request_class: type[CheckRequested | LoginRetryRequested]
) -> UUID:
    """Return the id of the stream with the requests of one kind for a monitor."""
    return uuid5(_NAMESPACE, f"{request_class.TOPIC}/{monitor_id}")


class MonitorRequests:
    """The commands that record requests."""

    def __init__(self, monitoring: Monitoring) -> None:
        self._monitoring = monitoring

    def check_now(self, monitor_id: UUID, actor: Actor) -> CheckRequested:
        """Ask for a check of a monitor; return the request, which may be one made just before.

        A disabled monitor is checked once. Raises NotFoundError.
        """
        return self._record(CheckRequested, monitor_id, actor)

    def retry_login(self, monitor_id: UUID, actor: Actor) -> LoginRetryRequested:
        """Ask for another try of a refused login; return the request, as `check_now` does.

        Raises NotFoundError, and ConflictError when the monitor has no login.
        """
        monitor = self._load(monitor_id)
        config = monitor.config
        if read_user(monitor.kind, config) is None or not has_login_secret(monitor.kind, config):
            raise ConflictError("the monitor has no login")
        return self._record(LoginRetryRequested, monitor_id, actor)

    def _record(self, request_class: type[Q], monitor_id: UUID, actor: Actor) -> Q:
        stream = requests_id(monitor_id, request_class)

        def attempt() -> Q:
            self._load(monitor_id)
            now = self._monitoring.clock()
            found = list(self._monitoring.events.get(stream, desc=True, limit=1))
            last = cast("Q", found[0]) if found else None
            if last is not None and abs(now - last.timestamp) < timedelta(seconds=REPEAT_SECONDS):
                return last
            request = request_class(
                originator_id=stream,
                originator_version=last.originator_version + 1 if last else 1,
                timestamp=now,
                monitor_id=str(monitor_id),
                actor=actor,
            )
            self._monitoring.save(request)
            return request

        return self._monitoring.run(attempt)

    def _load(self, monitor_id: UUID) -> Monitor:
        monitor = self._monitoring.load(Monitor, monitor_id, "Monitor not found")
        if monitor.deleted:
            raise NotFoundError("Monitor not found")
        return monitor
