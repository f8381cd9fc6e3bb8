"""The numbers of monitors in /metrics, and what reads them: alert rules and the dashboard."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from api.app import Options
from api.resources.monitor_metrics import MonitorCollector
from tests.api.world import another_worker
from tests.domain.given import NOON, TESTER, check_of
from tests.projections.folding import catch_up
from tests.store.rich_store import decide

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from domain.monitor import Monitor
    from tests.api.world import World


ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/postwatch.json"
Samples = dict[str, list[tuple[dict[str, str], float]]]


@pytest.fixture
def failing(fresh_world: World) -> tuple[Monitor, Monitor]:
    """A monitor that is down, seen from two locations, and one that was never checked."""
    down, pending = fresh_world.monitor(name='The "front" desk'), fresh_world.monitor("imap_pop")
    for place, minute, end in (("de-nbg", 1, "2026-01-11T12:00:00Z"), ("fi-hel", 2, "2026-02-01")):
        check = check_of(down, minute, "down")
        tls = {"not_after": end if "T" in end else f"{end}T00:00:00+00:00"}
        outcome = {**check.outcome, "timings": {"dns": 5.0, "total": 250.0}, "tls": tls}
        checks = [replace(check, outcome=outcome)]
        fresh_world.store.checks.record(checks, location=place, actor=TESTER)
    decide(fresh_world.store, down)
    catch_up(fresh_world.views)
    return down, pending


def samples(metrics: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(metrics):
        for each in family.samples:
            found.setdefault(each.name, []).append((dict(each.labels), each.value))
    return found


def scraped(world: World, most: int | None = 1000) -> Samples:
    with another_worker(
        world, Options(metrics_monitors=most, archive_after=timedelta(days=2))
    ) as worker:
        answer = worker.operator.get("/metrics")
    assert answer.status_code == 200
    return samples(answer.text)


def test_each_monitor_has_its_numbers(fresh_world: World, failing: tuple[Monitor, Monitor]) -> None:
    down, pending = (str(each.id) for each in failing)

    found = scraped(fresh_world)

    info = ({"monitor": down, "name": 'The "front" desk', "type": "smtp"}, 1.0)
    assert info in found["postwatch_monitor_info"]
    assert found["postwatch_monitor_up"] == [({"monitor": down}, 0.0)]
    assert ({"monitor": down, "state": "down"}, 1.0) in found["postwatch_monitor_state"]
    assert ({"monitor": pending, "state": "pending"}, 1.0) in found["postwatch_monitor_state"]
    assert [labels for labels, _ in found["postwatch_monitor_last_check_age_seconds"]] == [
        {"monitor": down}
    ]
    of_check = {"monitor": down, "location": "fi-hel", "phase": "total"}
    assert (of_check, 0.25) in found["postwatch_monitor_phase_seconds"]
    assert len(found["postwatch_monitor_phase_seconds"]) == 4
    assert ({"state": "down"}, 1.0) in found["postwatch_monitors"]
    assert found["postwatch_monitors_omitted"] == [({}, 0.0)]
    logs = [labels["log"] for labels, _ in found["postwatch_log_position"]]
    assert sorted(logs) == ["checks", "incidents", "monitoring"]


def test_times_are_counted_to_the_moment_of_the_scrape(
    fresh_world: World, failing: tuple[Monitor, Monitor]
) -> None:
    collector = MonitorCollector(fresh_world.views.states, 10, lambda: NOON + timedelta(minutes=5))

    found = {each.name: each.samples for each in collector.collect()}

    (age,) = found["postwatch_monitor_last_check_age_seconds"]
    (days,) = found["postwatch_monitor_cert_days_left"]
    assert (age.labels["monitor"], age.value) == (str(failing[0].id), 180.0)
    assert days.value == pytest.approx(10 - 5 / (24 * 60))


def test_the_number_of_monitors_is_bounded_and_what_is_down_comes_first(
    fresh_world: World, failing: tuple[Monitor, Monitor]
) -> None:
    one, none = scraped(fresh_world, 1), scraped(fresh_world, None)

    assert [labels["monitor"] for labels, _ in one["postwatch_monitor_info"]] == [
        str(failing[0].id)
    ]
    assert one["postwatch_monitors_omitted"] == [({}, 1.0)]
    assert sum(number for _, number in one["postwatch_monitors"]) == 2
    assert not [name for name in none if name.startswith("postwatch_monitor_")]
    assert sum(number for _, number in none["postwatch_monitors"]) == 2


def test_while_the_view_is_not_made_the_other_numbers_are_there(fresh_world: World) -> None:
    with another_worker(fresh_world, Options(metrics_monitors=10)) as worker:
        view = worker.views.projector("states").view
        view.invalidate(view.position())
        found = samples(worker.operator.get("/metrics").text)

    assert "postwatch_monitors" not in found
    assert found["postwatch_store_away"] == [({}, 0.0)]


def test_rules_and_dashboard_read_only_metrics_and_labels_that_there_are(
    fresh_world: World, failing: tuple[Monitor, Monitor]
) -> None:
    assert failing
    fresh_world.admin.get("/api/monitors")
    found = scraped(fresh_world)
    labels = {name: set().union(*(each for each, _ in found[name])) for name in found}

    expressions = [*_of_rules(), *_of_dashboard()]

    assert len(expressions) > 20
    for expression in expressions:
        for name, matchers in re.findall(r"\b(postwatch_\w+)(?:\{([^}]*)\})?", expression):
            assert name in labels, expression
            assert set(re.findall(r"(\w+)[!=]?[=~]", matchers)) <= labels[name], expression


def _of_rules() -> Iterator[str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    for rule in (each for group in groups for each in group["rules"]):
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["annotations"]["summary"]
        yield rule["expr"]


def _of_dashboard() -> Iterator[str]:
    dashboard: Mapping[str, Any] = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def test_prometheus_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool here; the rules are read as YAML by another test")
    checked = subprocess.run(
        [promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
