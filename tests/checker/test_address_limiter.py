"""The places of an address: the limit holds, everybody is served, and turns are fair."""

from __future__ import annotations

from collections import deque
from ipaddress import ip_address

import pytest

from checker.loop.address_limiter import (
    AddressLimiter,
    CheckPlaces,
    Claimant,
    Released,
    SocketBudget,
)

HERE = "192.0.2.1"


def claimant(
    customer: str, *, organization: str = "one", port: int = 25, is_slow: bool = False
) -> Claimant:
    return Claimant(organization, customer, ("smtp", port), is_slow)


def ignore(released: list[Released[int]]) -> None:
    assert released == [], "nothing waits"


def test_10_000_waiting_checks_are_each_served_once_and_nothing_stays() -> None:
    limiter: AddressLimiter[int] = AddressLimiter(10)
    running: deque[tuple[Claimant, int]] = deque()
    for number in range(10_000):
        each = claimant(f"c{number % 997}", is_slow=number % 3 == 0, port=number % 7)
        if limiter.request(HERE, each, number):
            running.append((each, number))
    served = []
    while running:
        assert len(running) <= 10
        assert sum(each.is_slow for each, _ in running) <= 5
        each, number = running.popleft()
        served.append(number)
        running.extend((found.claimant, found.waiting) for found in limiter.leave(HERE, each))

    assert sorted(served) == list(range(10_000))
    assert not limiter._addresses


def test_organizations_take_turns_whatever_their_number_of_customers() -> None:
    limiter: AddressLimiter[str] = AddressLimiter(1)
    first = claimant("x")
    assert limiter.request(HERE, first, "first")
    for number in range(60):
        limiter.request(HERE, claimant(f"c{number}", organization="many"), "many")
    limiter.request(HERE, claimant("c", organization="few"), "few")
    order = []
    current = first
    for _ in range(4):
        ((_, current, name),) = limiter.leave(HERE, current)
        order.append(name)

    assert order == ["many", "few", "many", "many"]


def test_slow_checks_and_one_customer_leave_places_to_others() -> None:
    limiter: AddressLimiter[int] = AddressLimiter(10)
    slow = [limiter.enter(HERE, claimant("a", is_slow=True)) for _ in range(10)]
    quick = [limiter.enter(HERE, claimant("a")) for _ in range(10)]

    assert (slow.count(True), quick.count(True)) == (5, 2)
    # The last place is for an organization that has none.
    others = [limiter.enter(HERE, claimant(name)) for name in "bcd"]
    assert others == [True, True, False]
    assert limiter.enter(HERE, claimant("e", organization="two"))
    assert not limiter.enter(HERE, claimant("f", organization="three"))


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_small_limits_let_checks_begin(limit: int) -> None:
    limiter: AddressLimiter[int] = AddressLimiter(limit)

    entered = [limiter.enter(HERE, claimant("a")) for _ in range(5)]

    assert entered.count(True) == limit


def test_further_connections_of_a_check_count_as_sockets() -> None:
    limiter: AddressLimiter[int] = AddressLimiter(10)
    sockets = SocketBudget(2)
    sockets.used = 1
    places = CheckPlaces(limiter, claimant("a"), None, sockets=sockets, on_release=ignore)
    one, two, three = (ip_address(f"192.0.2.{number}") for number in (1, 2, 3))

    assert [places.may_connect(each) for each in (one, two, three)] == [True, True, False]
    assert (sockets.free, places.refused) == (0, [three])
    places.disconnected(one)
    assert places.may_connect(three)
    for each in (two, three):
        places.disconnected(each)
    places.close()
    assert (sockets.used, len(limiter._addresses)) == (1, 0)


def test_mapped_address_is_the_same_place_and_a_reserved_one_is_given_back() -> None:
    limiter: AddressLimiter[int] = AddressLimiter(1)
    assert limiter.request(HERE, claimant("a"), 1)
    sockets = SocketBudget(10)
    places = CheckPlaces(limiter, claimant("a"), HERE, sockets=sockets, on_release=ignore)

    mapped = ip_address(f"::ffff:{HERE}")
    assert places.may_connect(mapped)
    places.disconnected(mapped)
    places.close()
    assert not limiter._addresses
    assert limiter.request(HERE, claimant("a"), 1)
    unused = CheckPlaces(limiter, claimant("a"), HERE, sockets=sockets, on_release=ignore)
    unused.close()
    assert not limiter._addresses
