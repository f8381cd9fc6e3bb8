"""The rate limit: one count for all workers, for each token, for strangers by address."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from eventsourcing.persistence import OperationalError
from falcon.testing import TestClient
from typing_extensions import override

from api.app import Options
from api.http.rate_limit import CUSTOMER_SHARES, ORGANIZATION_SHARES, Counter
from api.storage.rate_counters import ANSWER_SECONDS, PostgresCounter
from service.api_server import counter_of
from soak.room import family
from store.ports.errors import STORE_UNAVAILABLE
from store.postgres.engine import PostgresEngine
from tests.api.world import SMTP, Caller, another_worker
from tests.places import databases
from tests.postgres_server import find_binaries
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.store import Store
    from tests.api.world import Persona, World
    from tests.postgres_server import PostgresServer


LIMIT = 5
ORIGIN = "https://dashboard.example.com"


class OneWindow(Counter):
    """A counter for which the minute never ends, so that no test depends on the time."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    @override
    def count(self, caller: str, window: int, amount: int = 1, current: int | None = None) -> int:
        """Count in the one window."""
        return self._counter.count(caller, 1, amount)


@pytest.fixture
def workers(fresh_world: World) -> Iterator[list[World]]:
    """Two workers with a limit, each with its own counter on the one store."""
    with ExitStack() as stack:
        opened = []
        for _ in range(2):
            counter = OneWindow(counter_of(fresh_world.store))
            options = Options(LIMIT, counter, (ORIGIN,))
            opened.append(stack.enter_context(another_worker(fresh_world, options)))
        yield opened


def test_the_count_is_right_across_workers(workers: list[World]) -> None:
    answers = [workers[number % 2].admin.get(SMTP) for number in range(LIMIT + 2)]

    assert [each.status_code for each in answers] == [200] * LIMIT + [429] * 2
    assert [each.headers["x-ratelimit-remaining"] for each in answers] == [
        *("4", "3", "2", "1", "0", "0", "0")
    ]
    assert {each.headers["x-ratelimit-limit"] for each in answers} == {str(LIMIT)}
    assert all(1 <= int(each.headers["x-ratelimit-reset"]) <= 61 for each in answers)
    refused = answers[-1]
    assert refused.headers["retry-after"] == refused.headers["x-ratelimit-reset"]
    assert refused.json["statusCode"] == 429
    assert refused.json["statusMessage"] == "Too Many Requests"
    assert refused.headers["x-request-id"] == refused.json["requestId"]


def test_the_limit_of_an_organization_is_some_times_that_of_a_token(
    fresh_world: World,
) -> None:
    counter = OneWindow(counter_of(fresh_world.store))
    with another_worker(fresh_world, Options(1, counter)) as world:
        personas: list[Persona] = ["admin", "user", "readonly", "scoped_user", "scoped_readonly"]
        for number in range(ORGANIZATION_SHARES):
            counter.count(f"organization {world.owners['own'].organization.id}", number)

        answers = {each: world.caller(each).get(SMTP) for each in personas}
        stranger = world.caller("stranger").get(SMTP)

    assert {each.status_code for each in answers.values()} == {429}
    assert "More than 10 requests of one organization" in answers["admin"].json["message"]
    assert answers["admin"].headers["x-ratelimit-limit"] == str(ORGANIZATION_SHARES)
    assert stranger.status_code == 200


def test_the_tokens_of_a_customer_have_a_limit_together(fresh_world: World) -> None:
    counter = OneWindow(counter_of(fresh_world.store))
    with another_worker(fresh_world, Options(1, counter)) as world:
        for number in range(CUSTOMER_SHARES):
            counter.count(f"customer {world.owners['own'].customer.id}", number)

        refused, other = world.caller("scoped_user").get(SMTP), world.caller("user").get(SMTP)

    assert (refused.status_code, other.status_code) == (429, 200)
    assert "More than 5 requests of one customer" in refused.json["message"]


def test_each_token_counts_for_itself(workers: list[World]) -> None:
    worker = workers[0]
    for _ in range(LIMIT + 1):
        last = worker.admin.get(SMTP)

    assert last.status_code == 429
    assert worker.caller("user").get(SMTP).status_code == 200


def test_strangers_count_by_address_whatever_they_send(workers: list[World]) -> None:
    def ask(worker: World, number: int, address: str) -> int:
        client = TestClient(worker.app)
        headers = {"Authorization": f"Bearer wsm_guess_{number:032}"} if number % 3 else {}
        answer = client.simulate_get(SMTP, headers=headers, remote_addr=address)
        return answer.status_code

    statuses = [ask(workers[number % 2], number, "192.0.2.7") for number in range(LIMIT + 2)]

    assert statuses == [401] * LIMIT + [429] * 2
    assert ask(workers[0], 0, "192.0.2.8") == 401
    network = [ask(workers[0], 0, f"2001:db8::{number}") for number in range(LIMIT + 1)]
    assert network == [401] * LIMIT + [429], "who has one address of a network has all"
    assert workers[0].admin.get(SMTP).status_code == 200, "a valid token is no stranger"


def test_a_path_that_does_not_exist_counts_too(workers: list[World]) -> None:
    statuses = [workers[0].admin.get("/api/nothing").status_code for _ in range(LIMIT + 1)]

    assert statuses == [404] * LIMIT + [429]


def test_what_is_open_and_a_preflight_count_for_nobody(workers: list[World]) -> None:
    client = TestClient(workers[0].app)
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}

    for _ in range(LIMIT + 2):
        assert client.simulate_get("/healthz").status_code == 200
        assert client.simulate_options(SMTP, headers=preflight).status_code == 200
    assert client.simulate_get(SMTP).status_code == 401


def test_it_is_off_by_default(fresh_world: World) -> None:
    answers = [fresh_world.admin.get(SMTP) for _ in range(150)]

    assert {each.status_code for each in answers} == {200}
    assert not any(name.startswith("x-ratelimit") for name in answers[0].headers)


def test_a_new_minute_begins_a_new_count(store: Store) -> None:
    counter = counter_of(store)

    assert [counter.count("caller", window) for window in (1, 1, 2, 2, 2, 3)] == [1, 2, 1, 2, 3, 1]


def test_callers_of_minutes_that_are_over_are_forgotten(store: Store) -> None:
    counter = counter_of(store)
    for number in range(20):
        counter.count(f"address 2001:db8::{number}", 1)

    # As another worker, whose clock lags a second, still counts for the minute before.
    late = counter_of(store)
    assert counter.count("caller", 2) == 1
    assert late.count("address 2001:db8::1", 1) == 1
    assert counter.count("caller", 2) == 2


def test_no_request_is_lost_between_threads_and_counters(store: Store) -> None:
    counters = [counter_of(store) for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda number: counters[number % 3].count("c", 1), range(300)))

    assert sorted(counts) == list(range(1, 301))


def test_a_refused_request_writes_nothing(workers: list[World]) -> None:
    worker = workers[0]
    caller: Caller = worker.admin
    for _ in range(LIMIT):
        caller.get(SMTP)
    head = worker.store.monitoring.recorder.max_notification_id()

    assert caller.post(SMTP, worker.body()).status_code == 429
    assert worker.store.monitoring.recorder.max_notification_id() == head


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """Freeze a server with all that it started while the block runs."""
    pids = family(server.process.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.thorough
@pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")
def test_a_frozen_database_holds_up_few_requests_and_each_for_a_second() -> None:
    with (
        databases() as made,
        made.migrated() as database,
        closing(PostgresEngine(database)) as engine,
    ):
        counter = PostgresCounter(engine.connections)
        assert counter.count("caller", 1) == 1
        with ExitStack() as stack:
            # So that each thread finds one that was open before.
            for _ in range(4):
                stack.enter_context(engine.connections.get())

        def seconds_in_vain(_: int) -> float:
            began = time.monotonic()
            with pytest.raises(STORE_UNAVAILABLE):
                counter.count("caller", 1)
            return time.monotonic() - began

        with ThreadPoolExecutor(4) as pool:
            with frozen(made.server):
                first = list(pool.map(seconds_in_vain, range(4)))
                later = list(pool.map(seconds_in_vain, range(100)))
            assert max(first) < ANSWER_SECONDS + 30
            # One now and then tries again.
            assert sum(each >= ANSWER_SECONDS for each in later) < 10

        def is_counted() -> bool:
            try:
                return counter.count("caller", 1) > 0
            except STORE_UNAVAILABLE:
                return False

        wait_until(is_counted, seconds=20, what="requests are counted again")


class Away(Counter):
    """A counter whose store is away now and then."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self.is_away = False

    @override
    def count(self, caller: str, window: int, amount: int = 1, current: int | None = None) -> int:
        """Count, or raise."""
        if self.is_away:
            raise OperationalError("of the caller, who must not be logged")
        return self._counter.count(caller, window, amount, current)


def test_what_cannot_be_counted_is_not_limited(
    fresh_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    counter = Away(OneWindow(counter_of(fresh_world.store)))
    with another_worker(fresh_world, Options(1, counter, ())) as worker:
        statuses = []
        for counter.is_away in (False, True, True, False):
            statuses.append(worker.admin.get(SMTP).status_code)

    assert statuses == [200, 200, 200, 429]
    told = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert told == ["requests are not counted, so not limited: OperationalError"]
