"""Quotas: what an organization may record, counted for all workers, and never in the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from eventsourcing.persistence import OperationalError
from typing_extensions import override

from api.app import Options
from api.http.quotas import QuotaLimits
from api.http.rate_limit import Counter
from domain.commands import UpdateMonitor
from service.api_server import counter_of
from service.errors import CommandError
from service.settings import Settings
from tests.api.test_health import samples, value
from tests.api.world import SMTP, Caller, another_worker, path_of
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.world import World


TOKENS = "/api/organization/tokens"


class OneDay(Counter):
    """A counter for which the minute never ends, so that no test depends on the time."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.is_away = False

    @override
    def count(self, caller: str, window: int, amount: int = 1, current: int | None = None) -> int:
        """Count in the one window, or raise."""
        if self.is_away:
            raise OperationalError("of the caller, who must not be logged")
        return self._counter.count(caller, 1, amount, 1)


Open = Callable[[QuotaLimits], "World"]


@pytest.fixture
def worker(fresh_world: World) -> Iterator[Open]:
    """Opens workers with quotas, each with its own counter on the one store."""
    with ExitStack() as stack:

        def opened(limits: QuotaLimits) -> World:
            options = Options(counter=OneDay(counter_of(fresh_world.store)), quotas=limits)
            return stack.enter_context(another_worker(fresh_world, options))

        yield opened


def refusals(world: World) -> float:
    """Return how many changes were refused so far."""
    return value(samples(world), "postwatch_quota_refused_total", quota="changes_per_minute")


@pytest.mark.both_engines
def test_changes_of_a_minute_are_counted_for_all_workers(fresh_world: World, worker: Open) -> None:
    limits = QuotaLimits(changes_per_minute=4)
    one, other = worker(limits), worker(limits)
    path = path_of(fresh_world.monitor())
    before = value(
        samples(fresh_world), "postwatch_quota_refused_total", quota="changes_per_minute"
    )

    first = [one.admin.patch(path, {"name": f"Name {number}"}) for number in range(2)]
    unchanged = [one.admin.patch(path, {"name": "Name 1"}) for _ in range(5)]
    second = [other.admin.patch(path, {"name": f"Other {number}"}) for number in range(3)]

    assert [each.status_code for each in (*first, *unchanged)] == [200] * 7
    assert [each.status_code for each in second] == [200, 200, 429]
    refused = second[-1]
    assert "The quota of 4 changes a minute" in refused.json["message"]
    assert "(changes_per_minute)" in refused.json["message"]
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert other.admin.get(path).json["name"] == "Other 1"
    assert refusals(fresh_world) == before + 1


def test_what_is_over_the_quota_may_still_be_read_and_its_tokens_revoked(
    fresh_world: World, worker: Open
) -> None:
    world = worker(QuotaLimits(changes_per_minute=1))
    token = world.admin.post(TOKENS, {"name": "Stolen"}).json
    path = path_of(fresh_world.monitor())

    assert world.admin.patch(path, {"name": "Refused"}).status_code == 429
    assert world.admin.get(path).status_code == 200
    assert world.admin.delete(f"{TOKENS}/{token['id']}").status_code == 200
    assert Caller(world.app, token["token"]).get(path).status_code == 401
    foreign = path_of(fresh_world.monitor("smtp", "foreign"))
    assert world.caller("stranger").patch(foreign, {"name": "Foreign"}).status_code == 200


def test_bytes_of_a_day_are_counted(fresh_world: World, worker: Open) -> None:
    world = worker(QuotaLimits(log_bytes_per_day=20_000))
    path = path_of(fresh_world.monitor())
    note = {"smtpConfig": {"note": "x" * 8000}}

    answers = [
        world.admin.patch(path, {"smtpConfig": {"note": f"{number}" * 8000}}).status_code
        for number in range(5)
    ]

    assert answers == [200, 200, 200, 429, 429]
    refused = world.admin.patch(path, note)
    assert "(log_bytes_per_day)" in refused.json["message"]
    assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.both_engines
def test_an_organization_has_so_many_monitors(fresh_world: World, worker: Open) -> None:
    world = worker(QuotaLimits(monitors=2))
    made = [world.admin.post(SMTP, fresh_world.body()) for _ in range(3)]

    assert [each.status_code for each in made] == [201, 201, 429]
    assert "The quota of 2 monitors" in made[-1].json["message"]
    assert "retry-after" not in made[-1].headers
    assert world.admin.delete(made[0].headers["location"]).status_code == 200
    again = world.admin.post("/api/imap-pop-monitors", fresh_world.body("imap_pop"))
    assert again.status_code == 201
    assert world.admin.post(SMTP, fresh_world.body()).status_code == 429


def test_an_operator_on_the_command_line_has_no_quota(fresh_world: World, worker: Open) -> None:
    world = worker(QuotaLimits(1, 1, 1))
    monitor = fresh_world.monitor()

    for number in range(5):
        change = UpdateMonitor(monitor.id, {"name": f"Name {number}"})
        assert world.store.monitoring.update_monitor(change, TESTER).name == f"Name {number}"


def test_what_cannot_be_counted_is_not_refused(
    fresh_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    counter = OneDay(counter_of(fresh_world.store))
    path = path_of(fresh_world.monitor())
    options = Options(counter=counter, quotas=QuotaLimits(changes_per_minute=1))
    with another_worker(fresh_world, options) as world:
        counter.is_away = True
        answers = [world.admin.patch(path, {"name": f"Name {each}"}) for each in range(3)]

    assert [each.status_code for each in answers] == [200] * 3
    assert "no quota holds: OperationalError" in caplog.text
    assert "must not be logged" not in caplog.text


def test_the_settings_have_quotas_that_can_be_switched_off() -> None:
    read = Settings.from_env({})
    assert read.quota_changes_per_minute == 3000
    assert read.quota_log_bytes_per_day == 256 * 1024 * 1024
    assert read.quota_monitors == 10_000
    off = Settings.from_env({"POSTWATCH_QUOTA_MONITORS": "off"})
    assert off.quota_monitors is None
    with pytest.raises(CommandError, match="POSTWATCH_QUOTA_MONITORS: must be off, or a whole"):
        Settings.from_env({"POSTWATCH_QUOTA_MONITORS": "0"})


@pytest.mark.any_engine
def test_a_company_of_2000_monitors_changes_all_of_them_at_once(fresh_world: World) -> None:
    limits = Settings.from_env({})
    quotas = QuotaLimits(
        limits.quota_changes_per_minute, limits.quota_log_bytes_per_day, limits.quota_monitors
    )
    counted = OneDay(counter_of(fresh_world.store))
    with another_worker(fresh_world, Options(counter=counted, quotas=quotas)) as world:
        made = [world.admin.post(SMTP, fresh_world.body()) for _ in range(20)]
        organization = fresh_world.owners["own"].organization.id
        counted.count(f"changes_per_minute {organization}", 1, 1960)
        changed = [world.admin.patch(each.headers["location"], {"port": 26}) for each in made]

    assert {each.status_code for each in made} == {201}
    assert {each.status_code for each in changed} == {200}
