"""Quotas of each organization, so that no token fills the disk or stops the service.

Changes a minute and bytes of the log a day are counted after a command, for all workers and
hosts together; an organization that is over a quota is refused before its next command. So a
quota can be exceeded by the command of each worker that was under way. Commands of operators
on the command line are not counted, and a token can be revoked at any time.

While the counter fails, on a full disk for example, nothing is counted, and nothing refused.
"""

from __future__ import annotations

import logging
import time
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from uuid import UUID

import falcon
from eventsourcing.domain import AggregateEvent
from prometheus_client import Counter as MetricCounter

from api.http.log_throttle import LOG_THROTTLE
from api.resources.metrics import OWN
from domain.access_token import AccessToken
from domain.monitor import Monitor
from projections.core.table import ViewUnavailableError
from store.ports.errors import STORE_UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from eventsourcing.domain import DomainEventProtocol
    from eventsourcing.persistence import Recording

    from api.http.rate_limit import Counter
    from domain.monitoring import Monitoring
    from projections.readers.monitors import MonitorReader


QuotaName = Literal["changes_per_minute", "log_bytes_per_day", "monitors"]

REFUSED: Final = MetricCounter(
    "postwatch_quota_refused",
    "Commands that were refused because the quota of their organization is used up.",
    ("quota",),
    registry=OWN,
)
WORDS: Final[dict[QuotaName, str]] = {
    "changes_per_minute": "changes a minute",
    "log_bytes_per_day": "bytes of new events a day (UTC)",
    "monitors": "monitors",
}
_MINUTE: Final = 60
_MINUTES_A_DAY: Final = 24 * 60
_KIB: Final = 1024
_ROW_BYTES: Final = 150
"""What an event takes in the log beside its state: ids, topic, index."""

_CANNOT_COUNT: Final[tuple[type[Exception], ...]] = (ViewUnavailableError, *STORE_UNAVAILABLE)
_ALWAYS: Final = (AccessToken.Revoked, AccessToken.Used)
"""Events that no quota refuses: a token that is misused must be revocable."""


class QuotaLimits(NamedTuple):
    """The quotas of each organization; None switches one off."""

    changes_per_minute: int | None = None
    log_bytes_per_day: int | None = None
    monitors: int | None = None


NO_QUOTAS: Final = QuotaLimits()


class Quotas:
    """Refuses and counts the commands of tokens on the `monitoring` log."""

    def __init__(
        self,
        limits: QuotaLimits,
        counter: Counter,
        monitoring: Monitoring,
        reader: MonitorReader,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits
        self._counter = counter
        self._monitoring = monitoring
        self._reader = reader
        self._now = now
        self._lock = Lock()
        self._organizations: dict[str, str] = {}
        """By the id of a token, which never changes its organization."""
        self._over: dict[tuple[str, QuotaName], float] = {}
        """Until when a quota of an organization is used up."""
        self._bytes: dict[str, int] = {}
        """Recorded bytes that are not counted yet: less than a KiB of each organization."""

    def guard(self, events: Sequence[DomainEventProtocol[UUID]]) -> None:
        """Refuse a command before its events are recorded. Raises 429."""
        organization = self._organization_of(events)
        if organization is None or any(isinstance(each, _ALWAYS) for each in events):
            return
        now = self._now()
        for quota in ("changes_per_minute", "log_bytes_per_day"):
            until = self._over.get((organization, quota), 0)
            if now < until:
                self._refuse(quota, int(until - now) + 1)
        made = sum(isinstance(each, Monitor.Created) for each in events)
        if made and self._limits.monitors is not None:
            try:
                there = self._reader.monitor_count(organization)
            except _CANNOT_COUNT:
                return
            if there + made > self._limits.monitors:
                self._refuse("monitors", None)

    def observe(self, recordings: list[Recording[UUID]]) -> None:
        """Count the events of a command that were recorded."""
        organization = self._organization_of([each.domain_event for each in recordings])
        if organization is None:
            return
        changes = sum(isinstance(each.domain_event, AggregateEvent) for each in recordings)
        size = sum(len(each.notification.state) + _ROW_BYTES for each in recordings)
        with self._lock:
            kib, self._bytes[organization] = divmod(self._bytes.get(organization, 0) + size, _KIB)
        minute = int(self._now() // _MINUTE)
        # The row of a day has its last minute, so that it is kept until the day is over.
        last = (minute // _MINUTES_A_DAY + 1) * _MINUTES_A_DAY - 1
        try:
            self._count(organization, "changes_per_minute", minute, changes, minute)
            if kib:
                self._count(organization, "log_bytes_per_day", last, kib, minute)
        except STORE_UNAVAILABLE as error:
            LOG_THROTTLE.log(
                logging.ERROR,
                self,
                "changes are not counted, so no quota holds: %s",
                type(error).__name__,
            )

    def _count(
        self, organization: str, quota: QuotaName, window: int, amount: int, minute: int
    ) -> None:
        limit: int | None = getattr(self._limits, quota)
        if limit is None:
            return
        unit = _KIB if quota == "log_bytes_per_day" else 1
        used = self._counter.count(f"{quota} {organization}", window, amount, minute)
        if used * unit >= limit:
            self._over[organization, quota] = (window + 1) * _MINUTE

    def _organization_of(self, events: Iterable[object]) -> str | None:
        """Return the organization of the token that gave a command; None for other actors."""
        for each in events:
            actor = getattr(each, "actor", None)
            if actor is not None:
                return self._organization(actor["id"]) if actor["type"] == "token" else None
        return None

    def _organization(self, token_id: str) -> str | None:
        found = self._organizations.get(token_id)
        if found is None:
            token = self._monitoring.find(AccessToken, UUID(token_id))
            if token is None:
                return None
            found = self._organizations[token_id] = token.organization_id
        return found

    def _refuse(self, quota: QuotaName, retry_after: int | None) -> None:
        REFUSED.labels(quota).inc()
        limit = getattr(self._limits, quota)
        what = f"The quota of {limit} {WORDS[quota]} for each organization is used up ({quota})"
        raise falcon.HTTPTooManyRequests(
            description=f"{what}; try again later" if retry_after else what,
            retry_after=retry_after,
        )
