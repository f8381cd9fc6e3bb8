"""Where work runs: short reads on the loop, tenants in turn, nobody with all the threads."""

from __future__ import annotations

import asyncio
import threading

import falcon
import pytest

from api.http.client_address import TrustedProxies, holder_of
from api.http.execution import Cost, Execution, FairPool, NeedsThreadError, require_thread
from service.http_connections import (
    GRACE_SECONDS,
    UnreadAnswers,
    WaitingConnections,
)

WAIT_SECONDS = 20


def test_a_short_read_runs_on_the_loop_and_everything_else_in_a_thread() -> None:
    async def names(*, reads_wait: bool) -> list[str]:
        execution = Execution(reads_wait=reads_wait)
        return [
            await execution.run(cost, "tenant", lambda: threading.current_thread().name)
            for cost in Cost
        ]

    here = threading.current_thread().name
    assert [each.partition("_")[0] for each in asyncio.run(names(reads_wait=False))] == [
        here,
        "quick",
        "costly",
    ]
    assert asyncio.run(names(reads_wait=True))[0].startswith("quick")


def test_a_read_that_must_wait_runs_again_in_a_thread() -> None:
    tried: list[str] = []

    def work() -> str:
        tried.append(threading.current_thread().name)
        require_thread()
        return "done"

    async def run() -> str:
        with pytest.raises(NeedsThreadError):
            require_thread()
        return await Execution(reads_wait=False).run(Cost.SHORT_READ, "tenant", work)

    assert asyncio.run(run()) == "done"
    assert [each.partition("_")[0] for each in tried] == [tried[0], "quick"]
    require_thread()


def test_the_costly_work_of_one_tenant_waits_for_itself_only() -> None:
    async def run() -> None:
        pool, release = FairPool("pool", 2, share=1), threading.Event()
        greedy = [
            asyncio.create_task(pool.run("greedy", lambda: release.wait(WAIT_SECONDS)))
            for _ in range(10)
        ]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(pool.run("other", lambda: 7), WAIT_SECONDS) == 7
        assert not any(each.done() for each in greedy)
        release.set()
        assert all(await asyncio.gather(*greedy))

    asyncio.run(run())


def test_too_much_that_waits_is_refused() -> None:
    async def run() -> None:
        pool, release = FairPool("pool", 1, share=1, max_waiting=2), threading.Event()
        tasks = [
            asyncio.create_task(pool.run("greedy", lambda: release.wait(WAIT_SECONDS)))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        with pytest.raises(falcon.HTTPServiceUnavailable):
            await pool.run("greedy", lambda: None)
        release.set()
        assert all(await asyncio.gather(*tasks))

    asyncio.run(run())


def test_an_error_reaches_the_caller_and_the_thread_goes_on() -> None:
    def fail() -> None:
        raise LookupError

    async def run() -> int:
        pool = FairPool("pool", 1, share=1)
        with pytest.raises(LookupError):
            await pool.run("tenant", fail)
        return await pool.run("tenant", lambda: 1)

    assert asyncio.run(run()) == 1


class Waiting:
    """A connection that notes its end."""

    def __init__(self) -> None:
        self.has_ended = False

    def give_up(self) -> None:
        """End."""
        self.has_ended = True

    end_unread = give_up


def test_the_oldest_connection_of_an_address_ends_and_no_other_ones() -> None:
    now = [0.0]
    waiting = WaitingConnections(2, 100, lambda: now[0])
    other, *own = [Waiting() for _ in range(4)]
    waiting.add(other, "other")
    for each in own:
        waiting.add(each, "own")
    assert not own[0].has_ended, "its request may lie in the system's buffer"
    now[0] += GRACE_SECONDS
    late = Waiting()
    waiting.add(late, "own")
    assert [each.has_ended for each in (*own, late, other)] == [True, False, False, False, False]


def test_a_young_connection_ends_before_the_files_of_the_process_do() -> None:
    waiting = WaitingConnections(100, 2, lambda: 0.0)
    connections = [Waiting() for _ in range(4)]
    for number, each in enumerate(connections):
        waiting.add(each, str(number))
    assert [each.has_ended for each in connections] == [True, True, False, False]
    assert waiting.connections() == connections[2:]


def test_of_unread_answers_the_oldest_of_the_greediest_address_ends() -> None:
    unread = UnreadAnswers(100)
    modest, read, *greedy = [Waiting() for _ in range(5)]
    unread.add(modest, "modest", 30)
    unread.add(read, "greedy", 70)
    unread.remove(read)
    for each in greedy:
        unread.add(each, "greedy", 30)
    assert [each.has_ended for each in (modest, read, *greedy)] == [
        False,
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_connections_count_by_address_or_by_network(one: str, other: str, *, same: bool) -> None:
    assert (holder_of(one) == holder_of(other)) == same


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.9", "198.51.100.7", "192.0.2.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.1, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "fe80::1%anything", "fe80::1"),
        ("unknown", "198.51.100.7", "unknown"),
    ],
)
def test_only_a_trusted_proxy_says_who_the_client_is(
    peer: str, forwarded: str | None, client: str
) -> None:
    assert TrustedProxies(["10.0.0.0/8"]).client(peer, forwarded) == client
