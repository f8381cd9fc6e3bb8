"""A location that is retired while its checker runs, or just starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from checker.run import run_checker
from domain.errors import RetiredError
from store.log_reader import LogReader
from tests.checker.monitors import HERE, ME, Owner
from tests.checker.whole_run import DEADLINE_SECONDS, FakeProbe, running_checker, until

if TYPE_CHECKING:
    from store.store import Store


pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def registered(store: Store) -> None:
    """The location, known and in use."""
    store.monitoring.register_location(HERE.code, HERE.name, HERE.country, HERE.actor)


async def test_checker_ends_when_its_location_is_retired_and_records_what_it_found(
    store: Store, owner: Owner
) -> None:
    owner.create()

    async def retire_while_it_runs() -> None:
        async with running_checker(store, FakeProbe()) as checker:
            await checker.wait_for_checks(1)
            store.monitoring.retire_location(HERE.code, ME)
            await until(lambda: False)  # the checker ends before that

    with pytest.raises(ExceptionGroup) as ended:
        await retire_while_it_runs()

    assert ended.group_contains(RetiredError, match="location de-nbg was retired")
    assert len(LogReader(store.checks).after(0, 100)) == 1


async def test_checker_does_not_begin_when_its_location_was_retired_meanwhile(
    store: Store, owner: Owner
) -> None:
    owner.create()
    store.monitoring.retire_location(HERE.code, ME)
    probe = FakeProbe()

    with trio.fail_after(DEADLINE_SECONDS), pytest.raises(ExceptionGroup) as ended:
        await run_checker(store, probe, location=HERE, stop=trio.Event())

    assert ended.group_contains(RetiredError, match="start it again")
    assert probe.targets == []


async def test_checker_of_a_location_that_was_brought_back_goes_on(
    store: Store, owner: Owner
) -> None:
    store.monitoring.retire_location(HERE.code, ME)
    store.monitoring.register_location(HERE.code, HERE.name, HERE.country, HERE.actor)
    store.monitoring.register_location("fi-hel", "Helsinki", "FI", ME)

    async with running_checker(store, FakeProbe()) as checker:
        store.monitoring.retire_location("fi-hel", ME)
        owner.create()
        assert await checker.wait_for_checks(1)
