"""Roll-ups: exact counts, bounded quantiles, honest time, the same from any source."""

from __future__ import annotations

import math
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.availability import HOUR_MS, Span, WatchSettings, milliseconds
from domain.check import CheckPerformed, check_log_id
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from projections.views import rollup
from projections.views import uptime as roll_ups
from projections.views.rollup import (
    PhaseDurations,
    RollUp,
    bucket_of,
    from_open,
    from_text,
    middle_of,
    to_text,
)
from projections.views.uptime import PROJECTION, NoCheckSettings, add_check
from projections.views.uptime_report import (
    ReportPeriod,
    total,
    uptime,
    uptime_percent,
    uptime_shape,
)
from store.archiving import Archiver
from tests.domain.given import NOON, TESTER
from tests.domain.realistic import LOCATION, START, Fleet, record
from tests.projections.folding import rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from projections.catalog import Views
    from store.store import Store
    from tests.domain.given import Owners


MINUTE = timedelta(minutes=1)
MINUTE_MS = 60_000
EVERY_FIVE = WatchSettings(5 * MINUTE_MS, 30_000, in_maintenance=False)
VOUCHED_MS = EVERY_FIVE.interval_ms + EVERY_FIVE.timeout_ms + 30_000
START_MS = milliseconds(NOON)
MONITOR = "00000000-0000-4000-8000-000000000003"

counts = st.dictionaries(st.integers(0, 1500), st.integers(1, 1000), max_size=30)
durations = st.integers(0, 3_600_000_000)


class Always(NoCheckSettings):
    """Every monitor was checked alike."""

    def __init__(self, watched: WatchSettings | None = EVERY_FIVE) -> None:
        self._watched = watched

    def at(self, monitor_id: str, version: int) -> WatchSettings | None:
        """Return how."""
        del monitor_id, version
        return self._watched


def in_use(code: str) -> list[Span]:
    """Return that a location was never retired."""
    del code
    return []


def check(minute: float, verdict: str = "up", **timings: float) -> CheckPerformed:
    moment = NOON + minute * MINUTE
    return CheckPerformed(
        originator_id=check_log_id(UUID(MONITOR), "local"),
        originator_version=1,
        timestamp=moment,
        monitor_id=MONITOR,
        monitor_version=1,
        kind="smtp",
        location="local",
        due_at=iso_milliseconds(moment),
        started_at=iso_milliseconds(moment),
        outcome={"verdict": verdict, "timings": timings},
        actor=TESTER,
    )


def folded(checks: Sequence[CheckPerformed], how: Always | None = None) -> dict[int, RollUp]:
    """Return every hour that some checks make, the open one too."""
    stream: dict[str, Any] = roll_ups._new_stream(checks[0])
    hours: dict[int, RollUp] = {}
    for each in checks:
        for finished in (*add_check(stream, each, how or Always()),):
            hours.setdefault(finished["hour"], RollUp()).merge(from_open(finished))
    hours.setdefault(stream["open"]["hour"], RollUp()).merge(from_open(stream["open"]))
    return {hour - START_MS // HOUR_MS: each for hour, each in hours.items()}


@given(durations)
def test_the_middle_of_a_bucket_is_near_what_was_counted(microseconds: int) -> None:
    middle = middle_of(bucket_of(microseconds))

    assert abs(middle - microseconds) <= max(microseconds / 64, 0)
    assert bucket_of(middle) == bucket_of(microseconds)


@given(durations, durations)
def test_longer_is_never_in_a_lower_bucket(one: int, other: int) -> None:
    shorter, longer = sorted((one, other))

    assert bucket_of(shorter) <= bucket_of(longer)


@given(st.lists(durations))
def test_durations_are_counted_in_their_buckets(found: list[int]) -> None:
    counted: dict[int, int] = {}

    rollup.add(counted, found)

    assert counted == Counter(map(bucket_of, found))


@given(st.lists(durations, min_size=1), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_is_that_of_the_durations_but_for_one_in_64(
    found: list[int], share: float
) -> None:
    buckets: dict[int, int] = {}
    for each in found:
        rollup.merge(buckets, {bucket_of(each): 1})
    exact = sorted(found)[math.ceil(share * len(found)) - 1]

    middle = rollup.quantile(buckets, share)

    assert middle is not None
    assert abs(middle - exact) <= exact / 64


def test_there_is_no_quantile_of_nothing() -> None:
    assert rollup.quantile({}, 0.5) is None


@given(counts)
def test_counts_come_back_from_their_text(found: dict[int, int]) -> None:
    assert rollup.unpack(rollup.pack(found)) == found


def test_a_stored_hour_stays_readable() -> None:
    """Written once: hours of old days stand in views for ever."""
    text = "c 1 2rnk0 6bk 0 c:2s:pc new-phase:1:2 T:9ix:FvbOe"
    phases = {
        "connect": PhaseDurations(100, {12: 12}),
        "new-phase": PhaseDurations(1, {1: 1}),
        "total": PhaseDurations(12_345, {500: 11, 733: 1}),
    }

    assert from_text(text) == RollUp(12, 1, [4_649_472, 8192, 0], phases)
    assert to_text(from_text(text)) == text


def test_an_hour_counts_its_checks_and_their_durations() -> None:
    hours = folded([check(0, total=10.0, dns=1.0), check(5, "down", total=30.5), check(61)])

    assert (hours[0].checks, hours[0].failed) == (2, 1)
    assert hours[0].phases["total"].longest == 30_500
    assert sum(hours[0].phases["total"].counts.values()) == 2
    assert sum(hours[0].phases["dns"].counts.values()) == 1
    assert (hours[1].checks, hours[1].failed) == (1, 0)


def test_an_hour_of_very_many_checks_counts_them_all_and_stays_small() -> None:
    made = [check(each / 20, total=each + 0.25, dns=1.5) for each in range(1000)]
    stream: dict[str, Any] = roll_ups._new_stream(made[0])
    for each in made:
        assert not add_check(stream, each, Always())

    hour = from_open(stream["open"])

    assert hour.phases["dns"] == PhaseDurations(1500, {bucket_of(1500): 1000})
    assert hour.phases["total"].longest == 999_250
    assert hour.phases["total"].counts == Counter(
        bucket_of(each * 1000 + 250) for each in range(1000)
    )
    assert len(str(stream)) < 3000


def test_a_check_vouches_until_the_next_one_and_no_longer_than_it_may() -> None:
    hours = folded([check(0), check(5, "down"), check(10), check(40), check(45)])

    up = 5 * MINUTE_MS + VOUCHED_MS + 5 * MINUTE_MS
    assert hours[0].known_ms == [up, 5 * MINUTE_MS, 0]


def test_a_long_interval_is_shared_out_to_the_hours_it_touches() -> None:
    hourly = Always(WatchSettings(180 * MINUTE_MS, 30_000, in_maintenance=False))
    hours = folded([check(30), check(150, "down"), check(151)], hourly)

    assert [hours[each].known_ms for each in (0, 1, 2)] == [
        [30 * MINUTE_MS, 0, 0],
        [60 * MINUTE_MS, 0, 0],
        [30 * MINUTE_MS, MINUTE_MS, 0],
    ]
    assert [hours[each].checks for each in (0, 1, 2)] == [1, 0, 2]


def test_checks_of_an_unknown_monitor_vouch_for_nothing() -> None:
    assert folded([check(0), check(5)], Always(None))[0].known_ms == [0, 0, 0]


def test_checks_of_a_monitor_in_maintenance_are_maintenance() -> None:
    watched = Always(EVERY_FIVE._replace(in_maintenance=True))

    assert folded([check(0), check(5, "down")], watched)[0].known_ms == [0, 0, 5 * MINUTE_MS]


def test_a_clock_that_was_put_back_counts_no_time_twice_within_a_check() -> None:
    hours = folded([check(65), check(5), check(10), check(70)])

    assert (hours[0].checks, hours[1].checks) == (2, 2)
    assert hours[0].known_ms == [5 * MINUTE_MS + VOUCHED_MS, 0, 0]


@given(
    st.lists(
        st.tuples(st.floats(0, 300), st.sampled_from(["up", "down"]), st.floats(0, 60_000)),
        min_size=1,
        max_size=30,
    )
)
@settings(deadline=None)
def test_all_time_is_known_at_most_once(found: list[tuple[float, str, float]]) -> None:
    checks = [check(minute, verdict, total=ms) for minute, verdict, ms in sorted(found)]

    hours = folded(checks)

    assert sum(each.checks for each in hours.values()) == len(checks)
    assert all(sum(each.known_ms) <= HOUR_MS for each in hours.values())
    assert [from_text(to_text(each)) for each in hours.values()] == list(hours.values())


@pytest.mark.parametrize(
    ("known", "percent"),
    [([0, 0, 50], None), ([3, 0, 0], 100.0), ([2, 1, 0], 66.666), ([9_999_999, 1, 0], 99.999)],
)
def test_uptime_is_never_rounded_up_to_all(known: list[int], percent: float | None) -> None:
    assert uptime_percent(known) == percent


@pytest.fixture
def watched_store(store: Store, owners: Owners) -> tuple[Store, list[UUID]]:
    """Monitors that were created at the beginning of their checks."""
    store.monitoring.clock = lambda: START
    command = owners.create(check_interval=5)
    ids = [store.monitoring.create_monitor(command, TESTER).id for _ in range(4)]
    return store, ids


def catch_up(views: Views) -> dict[str, Any]:
    projector = views.projector("roll_ups")
    projector.catch_up()
    return rows(projector.view, PROJECTION)


def test_roll_ups_are_the_same_from_live_checks_and_from_archives(
    watched_store: tuple[Store, list[UUID]], views: Views
) -> None:
    store, ids = watched_store
    fleet = Fleet(ids)
    record(store, fleet.checks(300))
    catch_up(views)
    record(store, fleet.checks(300))
    before = catch_up(views)
    assert len(before["days"]) == 4
    assert all(len(each["hours"]) >= 12 for _, each in before["days"])

    end = START + timedelta(days=1)
    moved = Archiver(store, TESTER, clock=lambda: end, most_events=256).run(timedelta(0), 600)
    views.projector("roll_ups").rebuild(lambda *_: None)

    assert moved.events == 600
    assert rows(views.projector("roll_ups").view, PROJECTION) == before


def test_roll_ups_agree_with_the_checks_themselves(
    watched_store: tuple[Store, list[UUID]], views: Views
) -> None:
    store, ids = watched_store
    checks = Fleet(ids).checks(600)
    record(store, checks)
    catch_up(views)
    own = [each for each in checks if each.monitor_id == ids[0]]
    end = milliseconds(own[-1].finished_at)
    asked = ReportPeriod(milliseconds(START), end, "hour")

    buckets = uptime(views.roll_ups, str(ids[0]), [Span(milliseconds(START), end)], asked, in_use)

    for bucket in buckets:
        inside = [each for each in own if _is_within(each, bucket.start)]
        assert bucket.roll_up.checks == len(inside)
        assert bucket.roll_up.failed == sum(each.outcome["verdict"] == "down" for each in inside)
        longest = max(each.outcome["timings"]["total"] for each in inside)
        assert bucket.roll_up.phases["total"].longest == round(longest * 1000)
    everything = total(buckets)
    known = sum(everything.roll_up.known_ms)
    first = milliseconds(own[0].finished_at)
    assert known == end - first
    assert everything.unknown_ms == first - milliseconds(START)
    assert everything.not_watched_ms == 0


def _is_within(check: PerformedCheck, start: int) -> bool:
    return start <= milliseconds(check.finished_at) < start + HOUR_MS


def test_time_in_which_no_checker_ran_is_unknown_and_never_up(
    watched_store: tuple[Store, list[UUID]], views: Views
) -> None:
    store, ids = watched_store
    minutes = [*range(0, 60, 5), *range(180, 200, 5)]
    record(store, [_check(ids[0], START + each * MINUTE) for each in minutes])
    catch_up(views)
    begin = milliseconds(START)
    asked = ReportPeriod(begin, begin + 4 * HOUR_MS, "hour")

    shape = uptime_shape(
        uptime(views.roll_ups, str(ids[0]), [Span(begin, asked.end)], asked, in_use), asked
    )

    seconds = [each["seconds"] for each in shape["data"]]
    assert [each["up"] for each in seconds] == [3600, 60, 0, 1260]
    assert [each["unknown"] for each in seconds] == [0, 3540, 3600, 2340]
    assert [each["uptimePercent"] for each in shape["data"]] == [100.0, 100.0, None, 100.0]
    assert shape["seconds"]["unknown"] == 9480


def test_a_monitor_that_was_never_checked_is_unknown(views: Views) -> None:
    asked = ReportPeriod(0, 25 * HOUR_MS, "day")

    buckets = uptime(views.roll_ups, MONITOR, [Span(HOUR_MS, 25 * HOUR_MS)], asked, in_use)

    assert [each.unknown_ms for each in buckets] == [23 * HOUR_MS, HOUR_MS]
    assert [each.not_watched_ms for each in buckets] == [HOUR_MS, 0]


def test_several_locations_are_added_up(
    watched_store: tuple[Store, list[UUID]], views: Views
) -> None:
    store, ids = watched_store
    for location, minutes, verdict in (
        ("a", range(0, 60, 5), "up"),
        ("b", range(30, 60, 5), "down"),
    ):
        checks = [_check(ids[0], START + each * MINUTE, verdict) for each in minutes]
        store.checks.record(checks, location=location, actor=TESTER)
    catch_up(views)
    begin = milliseconds(START)
    asked = ReportPeriod(begin, begin + HOUR_MS, "hour")

    (bucket,) = uptime(views.roll_ups, str(ids[0]), [Span(begin, asked.end)], asked, in_use)

    assert bucket.roll_up.known_ms == [HOUR_MS, HOUR_MS // 2, 0]
    # The second location began to watch with its first check.
    assert (bucket.unknown_ms, bucket.not_watched_ms) == (0, HOUR_MS // 2)
    assert (bucket.roll_up.checks, bucket.roll_up.failed) == (18, 6)


@pytest.mark.parametrize(
    ("retired", "unknown_minutes"),
    [
        # No location is left: the first one counts as missing from the end of its last check on.
        ({}, 29),
        ({"a": [(30, 60)]}, 0),
        # It came back after 20 minutes, and made no check since. Of the time in which it was
        # retired its last check vouches for a minute.
        ({"a": [(30, 50)]}, 9),
        ({"elsewhere": [(0, 60)]}, 29),
    ],
)
def test_a_retired_place_is_not_missed(
    watched_store: tuple[Store, list[UUID]],
    views: Views,
    retired: dict[str, list[tuple[int, int]]],
    unknown_minutes: int,
) -> None:
    store, ids = watched_store
    for location, minutes in (("a", range(0, 30, 5)), ("b", range(10, 60, 5))):
        checks = [_check(ids[0], START + each * MINUTE) for each in minutes]
        store.checks.record(checks, location=location, actor=TESTER)
    catch_up(views)
    begin = milliseconds(START)
    asked = ReportPeriod(begin, begin + HOUR_MS, "hour")

    def retirements(code: str) -> list[Span]:
        return [
            Span(begin + start * MINUTE_MS, begin + end * MINUTE_MS)
            for start, end in retired.get(code, ())
        ]

    (bucket,) = uptime(views.roll_ups, str(ids[0]), [Span(begin, asked.end)], asked, retirements)

    assert bucket.roll_up.known_ms == [(31 + 50) * MINUTE_MS, 0, 0]
    assert bucket.unknown_ms == unknown_minutes * MINUTE_MS
    assert sum(bucket.roll_up.known_ms) + bucket.unknown_ms + bucket.not_watched_ms == 2 * HOUR_MS


def test_time_is_unknown_once_when_every_place_is_retired(
    watched_store: tuple[Store, list[UUID]], views: Views
) -> None:
    store, ids = watched_store
    for location in "ab":
        store.checks.record([_check(ids[0], START)], location=location, actor=TESTER)
    catch_up(views)
    begin = milliseconds(START)
    asked = ReportPeriod(begin, begin + 2 * HOUR_MS, "hour")
    gone = {"a": begin + 10 * MINUTE_MS, "b": begin + 30 * MINUTE_MS}

    buckets = uptime(
        views.roll_ups,
        str(ids[0]),
        [Span(begin, asked.end)],
        asked,
        lambda code: [Span(gone[code], asked.end)],
    )

    # The first answers until it goes, and after the other one went; the other until it goes.
    assert [each.unknown_ms // MINUTE_MS for each in buckets] == [10 + 30 - 6 + 30 - 6, 60]


def _check(monitor_id: UUID, moment: datetime, verdict: str = "up") -> PerformedCheck:
    text = iso_milliseconds(moment)
    outcome = {"verdict": verdict, "category": "ok", "timings": {"total": 1.5}}
    return PerformedCheck(monitor_id, 1, "smtp", text, text, moment, outcome)


def test_hours_of_one_day_take_little_space(
    watched_store: tuple[Store, list[UUID]], views: Views
) -> None:
    store, ids = watched_store
    record(store, Fleet(ids).checks(4 * 300))

    found = catch_up(views)

    sizes = [len(str(row)) for _, row in found["days"] if len(row["hours"]) == 24]
    assert sizes
    assert max(sizes) < 6000
    assert found["streams"][0][1]["location"] == LOCATION
