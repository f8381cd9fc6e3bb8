"""What the policy is told: checks, monitors, canaries, and by ports windows and channels.

Times are seconds since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from domain.alert_policy import DEFAULT, AlertPolicy
from domain.check import Category

if TYPE_CHECKING:
    from collections.abc import Sequence


OWN_FAULTS: Final = frozenset(
    {Category.CONFIG_INVALID, Category.SECRET_UNREADABLE, Category.ADDRESS_BLOCKED}
)
"""Nobody contacted the server: the fault is ours or the owner's."""

NETWORK_FAILURES: Final = frozenset(
    {
        Category.TIMEOUT,
        Category.CONNECT_UNREACHABLE,
        Category.DNS_TIMEOUT,
        Category.DNS_SERVFAIL,
    }
)
"""Failures that a broken network of the place itself looks like. Anything else is an answer."""

LATE_SECONDS: Final = 30.0
"""How late a check may begin, so that the check before it still counts until then."""


class Certificate(NamedTuple):
    """A server's certificate, as a check saw it."""

    fingerprint: str
    not_before: float
    not_after: float


class Check(NamedTuple):
    """One check of a monitor at a location. `version` is that of the event in its stream."""

    monitor_id: str
    location: str
    version: int
    monitor_version: int
    finished: float
    category: str
    login_postponed: bool = False
    address: str | None = None
    total_ms: float | None = None
    certificate: Certificate | None = None

    @property
    def is_good(self) -> bool:
        """Whether the server can be used."""
        return self.category == Category.OK


class Canaries(NamedTuple):
    """One round of connections from a location to addresses that the operator trusts."""

    location: str
    finished: float
    any_answered: bool


@dataclass(slots=True)
class MonitorSettings:
    """A monitor as the policy needs it.

    `checked_version` is the version of the last change of what is checked (host, port, kind,
    config): checks of earlier versions do not count. `since` is when checks began to count:
    creation, such a change, or the end of being disabled. `locations` are the codes of the
    places that may check it and are not retired.
    """

    monitor_id: str
    organization_id: str
    customer_id: str
    hostname: str
    status: str
    interval_seconds: float
    timeout_seconds: float
    since: float
    checked_version: int = 1
    locations: tuple[str, ...] = ()
    policy: AlertPolicy = DEFAULT

    @property
    def vouch_seconds(self) -> float:
        """How long after its end a check counts if no other check follows it."""
        return self.interval_seconds + self.timeout_seconds + LATE_SECONDS


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to tell somebody.

    `for_people`: messages are grouped by server. `delay_seconds` and `least_seconds` after an
    incident opened it is told, if the incident is still open: the channel's delay, and the
    shortest incident that it wants to hear of.
    """

    channel_id: str
    version: int = 1
    for_people: bool = True
    delay_seconds: float = 0.0
    least_seconds: float = 0.0

    @property
    def wait_seconds(self) -> float:
        """How long an incident lasts before this channel hears of it."""
        return max(self.delay_seconds, self.least_seconds)


class Windows(Protocol):
    """The maintenance windows of monitors."""

    def open_until(self, monitor_id: str, now: float) -> float | None:
        """Return when the last of the windows that overlap from now on ends; None without one."""
        ...

    def last_end(self, monitor_id: str, now: float) -> float:
        """Return when a window of a monitor ended last, up to now; minus infinity without one."""
        ...


class Channels(Protocol):
    """The notification channels of monitors."""

    def of(self, monitor_id: str) -> Sequence[Channel]:
        """Return the channels that hear of a monitor, the first to be tried first."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """The periods of the policy that are the same for all monitors, in seconds.

    `unwatched_after`: how much longer than it vouches a monitor may stay without a check; it
    is at least the monitor's interval. None switches that off.
    """

    reopen_within: float = 600.0
    flapping_within: float = 3600.0
    flapping_openings: int = 3
    steady_after: float = 1800.0
    group_interval: float = 300.0
    suspicion_notice_after: float = 30.0
    suspicion_hold: float = 300.0
    unwatched_after: float | None = 300.0
    current_within: float = field(default=360.0)
    """How old a check may be to say something about the network of its location."""
