"""What is known now of a monitor: one state, since when, and which error says so.

Pure rules over facts that were recorded: how the monitor is set up, the newest check of each
location, the incidents that are open. No clock: that checks stopped coming is a fact, too, an
incident of type `unwatched`. Times are ISO 8601 UTC with milliseconds, which compare as texts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from domain.check import Category

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


MonitorState = Literal[
    "down", "recovering", "suspicious", "unwatched", "pending", "maintenance", "disabled", "up"
]
"""`down`: an incident is open. `recovering`: it is still open, and the newest checks are good.
`suspicious`: a check failed, not confirmed yet. `unwatched`: no check says anything, although one
should. `pending`: not checked yet, or not since what is checked was changed."""

STATES: Final[tuple[MonitorState, ...]] = get_args(MonitorState)
"""In the order in which people want to see them."""

OWN_FAULTS: Final = frozenset(
    {Category.CONFIG_INVALID, Category.SECRET_UNREADABLE, Category.ADDRESS_BLOCKED}
)
"""Checks of these categories contacted no server, so they say nothing of it."""

NOTED_EVERY_SECONDS: Final = 300.0
"""How old the noted time of a location's last check may be while it says the same."""

_LATE_SECONDS: Final = 30.0
"""How late a check may begin, so that the check before it still counts until then."""

_TYPES: Final = ("downtime", "unwatched", "configuration", "performance", "ssl_expiry")
"""Which open incident of several is shown."""


@dataclass(slots=True)
class Verdict:
    """What the newest check of a location says.

    `since` is when the first check of the same verdict ended, `at` when the last noted one did,
    `has_failed` whether one failed before. `monitor_version` is the version of the monitor that
    was checked. `error` is shown to people; a good check has none.
    """

    is_up: bool
    monitor_version: int
    since: str
    at: str
    has_failed: bool = False
    error: dict[str, Any] | None = None

    @property
    def is_own_fault(self) -> bool:
        """Whether the check failed without contacting a server."""
        return self.error is not None and self.error["category"] in OWN_FAULTS


class OpenIncident(NamedTuple):
    """An incident that goes on. `since` is when the trouble began."""

    incident_id: str
    type: str
    since: str


@dataclass(slots=True)
class StateFacts:
    """What decides the state of a monitor.

    `checked_version` is the version of the monitor since which checks count, from
    `checked_since` on. `recovered_at`: the end of its last downtime.
    """

    status: str
    status_since: str
    checked_version: int
    checked_since: str
    vouch_seconds: float
    recovered_at: str | None = None
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    incidents: Sequence[OpenIncident] = ()


class KnownState(NamedTuple):
    """A state, since when, the newest error if a check fails, and the incident that is open."""

    state: MonitorState
    since: str
    error: dict[str, Any] | None
    incident_id: str | None


def vouch_seconds(interval_minutes: float, timeout_seconds: float) -> float:
    """Return how long after its end a check counts if no other one follows it."""
    return interval_minutes * 60 + timeout_seconds + _LATE_SECONDS


def state_of(facts: StateFacts) -> KnownState:
    """Return what is known. The first rule that holds decides."""
    if facts.status == "disabled":
        return KnownState("disabled", facts.status_since, None, _shown(facts.incidents))
    counted = _counted(facts)
    failing = [each for each in counted if not each.is_up]
    state, since = _judge(facts, counted, [each for each in failing if not each.is_own_fault])
    newest = max(failing, key=lambda each: each.at, default=None)
    return KnownState(state, since, newest.error if newest else None, _shown(facts.incidents))


def _judge(
    facts: StateFacts, counted: Sequence[Verdict], failing: Sequence[Verdict]
) -> tuple[MonitorState, str]:
    good = [each for each in counted if each.is_up]
    open_since = {each.type: each.since for each in facts.incidents}
    if facts.status == "maintenance":
        return "maintenance", facts.status_since
    if "unwatched" in open_since:
        return "unwatched", open_since["unwatched"]
    if "downtime" in open_since:
        if good and not failing:
            return "recovering", max(each.since for each in good)
        return "down", open_since["downtime"]
    return _unconfirmed(facts, counted, good, failing)


def _unconfirmed(
    facts: StateFacts,
    counted: Sequence[Verdict],
    good: Sequence[Verdict],
    failing: Sequence[Verdict],
) -> tuple[MonitorState, str]:
    """Return what checks alone say, while no incident is open."""
    if failing:
        return "suspicious", min(each.since for each in failing)
    if good:
        return "up", _up_since(facts, good)
    if counted:
        return "unwatched", min(each.since for each in counted)
    return "pending", max(facts.checked_since, facts.status_since)


def _counted(facts: StateFacts) -> list[Verdict]:
    """Return the verdicts that say something of the server as it is watched now.

    A location that failed, and that has been silent for longer than its check counts while
    others went on, was retired or may not check the monitor any more.
    """
    found = [
        each for each in facts.verdicts.values() if each.monitor_version >= facts.checked_version
    ]
    newest = max((each.at for each in found), default="")
    return [each for each in found if each.is_up or not _is_silent(each, newest, facts)]


def _is_silent(verdict: Verdict, newest: str, facts: StateFacts) -> bool:
    if verdict.at == newest:
        return False
    passed = datetime.fromisoformat(newest) - datetime.fromisoformat(verdict.at)
    return passed.total_seconds() > facts.vouch_seconds + NOTED_EVERY_SECONDS


def _up_since(facts: StateFacts, good: Sequence[Verdict]) -> str:
    """Return when the last location, or the last incident, recovered; else the first check."""
    recovered = [each.since for each in good if each.has_failed]
    began = recovered or [min(each.since for each in good)]
    return max(facts.status_since, facts.checked_since, facts.recovered_at or "", *began)


def _shown(incidents: Sequence[OpenIncident]) -> str | None:
    for each in _TYPES:
        for incident in incidents:
            if incident.type == each:
                return incident.incident_id
    return None
