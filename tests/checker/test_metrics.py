"""What Prometheus reads from a running checker."""

from __future__ import annotations

import socket
import threading
import urllib.request
from typing import TYPE_CHECKING

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from checker.runtime.metrics import (
    CheckerMetrics,
    CheckerMetricsCollector,
    Histogram,
    metrics_server,
)
from domain.check import Category, Outcome, Phase, Verdict
from service.checker_process import serve_metrics
from service.errors import CommandError, ExitCode
from service.settings import Settings
from tests.checker.whole_run import FakeProbe, running_checker, until

if TYPE_CHECKING:
    from store.store import Store
    from tests.checker.monitors import Owner


DOWN = Outcome(
    Verdict.DOWN, Category.TIMEOUT, Phase.GREETING, "", {"connect": 3.0, "greeting": 7000.0}
)
HOST = "127.0.0.1"


def scrape(port: int) -> dict[str, float]:
    """Return each sample by its name and labels."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        f"{sample.name}{sorted(sample.labels.values()) or ''}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_are_exposed() -> None:
    metrics = CheckerMetrics(in_flight=7, queued=3, store_away=True, held_back=2)
    metrics.count_outcome("smtp", DOWN)
    metrics.count_outcome("smtp", DOWN)
    metrics.count_start(0.003)
    metrics.loop_lag.observe(0.2)
    with metrics_server(metrics, HOST, 0) as port:
        samples = scrape(port)

    assert samples["postwatch_checker_checks_total['smtp', 'timeout']"] == 2
    assert samples["postwatch_checker_phase_seconds_bucket['0.0025', 'connect', 'smtp']"] == 0
    assert samples["postwatch_checker_phase_seconds_bucket['0.005', 'connect', 'smtp']"] == 2
    assert samples["postwatch_checker_phase_seconds_count['greeting', 'smtp']"] == 2
    assert samples["postwatch_checker_phase_seconds_sum['greeting', 'smtp']"] == 14
    assert samples["postwatch_checker_schedule_lag_seconds_bucket['0.005']"] == 1
    assert samples["postwatch_checker_schedule_lag_seconds_bucket['0.0025']"] == 0
    assert samples["postwatch_checker_loop_lag_seconds_bucket['0.1']"] == 0
    assert samples["postwatch_checker_loop_lag_seconds_bucket['+Inf']"] == 1
    assert samples["postwatch_checker_in_flight"] == 7
    assert samples["postwatch_checker_queued"] == 3
    assert samples["postwatch_checker_store_away"] == 1
    assert samples["postwatch_checker_held_back_total"] == 2


EXPOSED = """
postwatch_checker_recorded counter: Checks that are in the log.
postwatch_checker_fenced counter: Checks that were left out, because another checker had recorded \
theirs first.
postwatch_checker_skipped counter: Due times that passed by because nothing could begin in time.
postwatch_checker_overrun counter: Due times that passed by while the monitor's own check was \
running.
postwatch_checker_held_back counter: Checks that waited for others to the same address.
postwatch_checker_exhausted counter: Checks that could not be made for lack of sockets or memory.
postwatch_checker_lagged counter: Checks whose timings are too long because the checker was held up.
postwatch_checker_monitors gauge: Monitors in the configuration.
postwatch_checker_watched gauge: Monitors that are checked from here.
postwatch_checker_position gauge: Position in the monitoring log up to which changes took effect.
postwatch_checker_in_flight gauge: Checks under way; each has about one open socket.
postwatch_checker_waiting gauge: Checks that wait for others to the same address.
postwatch_checker_queued gauge: Finished checks that wait to be recorded.
postwatch_checker_shards_held gauge: Shards of the location whose monitors are checked from here.
postwatch_checker_clock_offset_seconds gauge: How far the clock of this host is ahead of the \
database's.
postwatch_checker_store_away gauge: 1 while the store takes no checks, else 0.
postwatch_checker_checks counter: Checks by what came of them.
postwatch_checker_phase_seconds histogram: How long checks took.
postwatch_checker_schedule_lag_seconds histogram: How late checks began that nothing held back.
postwatch_checker_loop_lag_seconds histogram: How long passes of the event loop took, or began late.
"""
LAG_BUCKETS = "0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 5.0 +Inf"
PHASE_BUCKETS = "0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 30.0 +Inf"


def test_names_help_texts_labels_and_buckets_stay_as_they_are() -> None:
    metrics = CheckerMetrics()
    metrics.count_outcome("smtp", DOWN)
    families = list(CheckerMetricsCollector(metrics).collect())

    assert [f"{each.name} {each.type}: {each.documentation}" for each in families] == (
        EXPOSED.strip().split("\n")
    )
    buckets = {
        name: " ".join(
            sample.labels["le"]
            for family in families
            for sample in family.samples
            if sample.name == f"postwatch_checker_{name}_seconds_bucket"
            and sample.labels.get("phase", "connect") == "connect"
        )
        for name in ("phase", "schedule_lag", "loop_lag")
    }
    assert buckets == {
        "phase": PHASE_BUCKETS,
        "schedule_lag": LAG_BUCKETS,
        "loop_lag": LAG_BUCKETS,
    }
    labels = {sample.name: set(sample.labels) for each in families for sample in each.samples}
    assert labels["postwatch_checker_checks_total"] == {"kind", "category"}
    assert labels["postwatch_checker_phase_seconds_sum"] == {"kind", "phase"}


def test_server_ends_with_its_block() -> None:
    before = set(threading.enumerate())
    with metrics_server(CheckerMetrics(), HOST, 0) as port:
        scrape(port)

    assert set(threading.enumerate()) <= before
    with pytest.raises(OSError, match="refused"):
        scrape(port)


async def test_running_checker_counts_what_it_does(store: Store, owner: Owner) -> None:
    async with running_checker(store, FakeProbe()) as checker:
        owner.create(hostname="secret-name.example.org")
        await until(lambda: checker.metrics.recorded == 1)
        with metrics_server(checker.metrics, HOST, 0) as port:
            samples = await trio.to_thread.run_sync(scrape, port)

    assert samples["postwatch_checker_checks_total['ok', 'smtp']"] == 1
    assert samples["postwatch_checker_recorded_total"] == 1
    assert samples["postwatch_checker_watched"] == 1
    assert samples["postwatch_checker_schedule_lag_seconds_count"] == 1
    assert samples["postwatch_checker_loop_lag_seconds_count"] > 0
    assert not [each for each in samples if "secret-name" in each]


def test_address_in_use_ends_the_start_with_its_reason() -> None:
    with socket.create_server((HOST, 0)) as taken:
        bind = f"{HOST}:{taken.getsockname()[1]}"
        settings = Settings.from_env({"POSTWATCH_METRICS_BIND": bind})
        text = f"cannot serve metrics on {bind}"
        with (
            pytest.raises(CommandError, match=text) as raised,
            serve_metrics(settings, CheckerMetrics()),
        ):
            pass
    assert raised.value.code is ExitCode.ADDRESS_IN_USE


def test_no_setting_serves_nothing() -> None:
    before = set(threading.enumerate())
    with serve_metrics(Settings.from_env({}), CheckerMetrics()):
        # A thread of an earlier test may just end.
        assert set(threading.enumerate()) <= before


def test_histogram_counts_a_value_on_a_bound_below_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 99.0):
        histogram.observe(value)

    assert list(histogram.cumulative_counts()) == [(1.0, 2), (2.0, 3), (float("inf"), 4)]
    assert (histogram.count, histogram.sum) == (4, 102.0)
