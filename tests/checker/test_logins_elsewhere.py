"""Checkers of one location share the distance between refused logins, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from checker.fleet.claims import shard_of
from checker.loop.login_backoff import LONGEST_SECONDS
from tests.checker.monitors import CUSTOMER_ID, ORGANIZATION_ID, ids
from tests.checker.test_login_backoff import Mailbox
from tests.checker.virtual import new_monitor
from tests.checker.virtual_fleet import Fleet

if TYPE_CHECKING:
    from trio.testing import MockClock


MEMBERS = ("a", "b", "c")
HOURS = 2


async def test_three_checkers_try_a_refused_login_as_seldom_as_one(
    autojump_clock: MockClock,
) -> None:
    # One monitor of the mailbox for each checker; which one holds it, the shards decide.
    by_shard = {shard_of(each): each for each in ids(60)}
    monitors = {
        each: new_monitor(
            each,
            config={"auth": {"user": "u", "pass": "p"}},
            check_interval=1,
            owner=(ORGANIZATION_ID, CUSTOMER_ID),
        )
        for each in by_shard.values()
    }
    mailbox = Mailbox()
    async with trio.open_nursery() as nursery:
        fleet = Fleet(autojump_clock, nursery)
        fleet.watch([])
        for name in MEMBERS:
            fleet.join(name)
            await trio.sleep(5)
        await trio.sleep(60)
        holders = {name: fleet.members[name].held for name in MEMBERS}
        chosen = [
            next(monitors[each] for shard, each in by_shard.items() if shard in held)
            for held in holders.values()
        ]
        fleet.server = mailbox
        events = [event for each in chosen for event in each.collect_events()]
        for member in fleet.members.values():
            member.checker.feed_events(events)

        await trio.sleep(HOURS * 3600)

        assert {log[0].by for log in fleet.log.values()} == set(MEMBERS)
        for begin in mailbox.logins:
            assert sum(begin <= each < begin + 600 for each in mailbox.logins) <= 4
        assert len(mailbox.logins) >= 3 + HOURS * 3600 / (2 * LONGEST_SECONDS)

        # One of them is let in: the others try at once, and are.
        mailbox.refuses = False
        await trio.sleep(LONGEST_SECONDS + 120)
        assert {log[-1].outcome["category"] for log in fleet.log.values()} == {"ok"}
        nursery.cancel_scope.cancel()
