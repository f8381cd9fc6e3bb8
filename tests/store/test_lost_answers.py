"""Writes whose answer is lost: the caller gets an error, and a repeated write is made once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest
from eventsourcing.persistence import OperationalError

from checker.recording.check_log import CheckLog
from checker.runtime.location import Location
from domain.commands import CreateCustomer, IssueToken, UpdateCustomer, UpdateMonitor
from domain.errors import ConflictError, NotFoundError
from store.ports.engine import Database
from tests.cutting_proxy import cutting_proxy
from tests.domain.given import TESTER, as_created, check_of, make_owners
from tests.places import Place
from tests.postgres_server import find_binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from domain.idempotency import IdempotencyKey
    from store.store import Store
    from tests.cutting_proxy import CuttingProxy, Moment
    from tests.domain.given import Owners
    from tests.places import Databases


pytestmark = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")

MOMENTS: Sequence[Moment] = ("before the commit", "after the commit")
TOKEN = "wsm_lost-answers-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


@dataclass(frozen=True, slots=True)
class Cut:
    """A store by a way that can be cut."""

    proxy: CuttingProxy
    store: Store
    owners: Owners

    def lose_answer(self, moment: Moment, command: Callable[[], object]) -> None:
        """Give a command whose transaction is cut, and see that it is tried once."""
        self.proxy.cut("monitoring", moment)
        written = self.written()
        with pytest.raises(OperationalError):
            command()
        assert self.written() - written == Counter(attempts=1)

    def written(self) -> Counter[str]:
        """Return how often the log was written to."""
        return Counter(attempts=cast("Any", self.store.monitoring.recorder).attempts)

    def topics(self) -> Counter[str]:
        """Return how many events of each sort there are."""
        events = self.store.reader("monitoring").after(0, 1000)
        return Counter(type(each.event).TOPIC for each in events)


@pytest.fixture
def cut(postgres: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cut]:
    """A store with owners, by a way that can be cut."""
    with (
        postgres.migrated() as database,
        cutting_proxy(postgres.server) as proxy,
        Place(tmp_path, Database(proxy.url(database.url))).create() as store,
    ):
        recorder: Any = store.monitoring.recorder
        append = recorder.append

        def counted(rows: object) -> object:
            recorder.attempts += 1
            return append(rows)

        monkeypatch.setattr(recorder, "attempts", 0, raising=False)
        monkeypatch.setattr(recorder, "append", counted)
        yield Cut(proxy, store, make_owners(store))


CREATIONS: dict[str, Callable[[Cut, IdempotencyKey | None], Any]] = {
    "MonitorCreated": lambda cut, repeat: cut.store.monitoring.create_monitor(
        cut.owners.create(config={"auth": {"user": "u", "pass": "secret"}}), TESTER, repeat=repeat
    ),
    "CustomerCreated": lambda cut, repeat: cut.store.monitoring.create_customer(
        CreateCustomer(cut.owners.organization.id, "Another", None), TESTER, repeat=repeat
    ),
    "TokenIssued": lambda cut, repeat: cut.store.monitoring.issue_token(
        IssueToken(cut.owners.organization.id, None, "Token", "admin", TOKEN), TESTER, repeat=repeat
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("topic", CREATIONS)
def test_what_is_asked_again_under_the_same_key_is_made_once(
    cut: Cut, topic: str, moment: Moment
) -> None:
    monitoring, create = cut.store.monitoring, CREATIONS[topic]
    before = cut.topics()[topic]
    repeat = monitoring.idempotency_key("token", "key-1", b"request")

    cut.lose_answer(moment, lambda: create(cut, repeat))
    stored = cut.topics()[topic] - before
    made = create(cut, repeat)
    again = create(cut, repeat)

    assert stored == (moment == "after the commit")
    assert cut.topics()[topic] - before == 1
    assert made.id == again.id
    assert made.number == before + 1
    if topic == "MonitorCreated":
        created = as_created(monitoring, made.id)
        assert monitoring.unsealed(made.id, "smtp", created.config)["auth"]["pass"] == "secret"


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_change_that_is_asked_again_is_made_once(cut: Cut, moment: Moment) -> None:
    monitoring = cut.store.monitoring
    monitor = monitoring.create_monitor(cut.owners.create(), TESTER)
    update = UpdateMonitor(monitor.id, {"name": "Renamed", "port": 2525})
    customer = UpdateCustomer(cut.owners.customer.id, {"name": "Renamed"})

    cut.lose_answer(moment, lambda: monitoring.update_monitor(update, TESTER))
    changed = monitoring.update_monitor(update, TESTER)
    cut.lose_answer(moment, lambda: monitoring.update_customer(customer, TESTER))
    monitoring.update_customer(customer, TESTER)

    assert (changed.version, changed.name) == (2, "Renamed")
    topics = cut.topics()
    assert (topics["MonitorUpdated"], topics["CustomerUpdated"]) == (1, 1)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_deletion_that_is_asked_again_is_made_once_and_destroys_the_key(
    cut: Cut, moment: Moment
) -> None:
    monitoring = cut.store.monitoring
    monitor = CREATIONS["MonitorCreated"](cut, None)
    assert str(monitor.id) in cut.store.keys.store.owners()

    cut.lose_answer(moment, lambda: monitoring.delete_monitor(monitor.id, TESTER))
    if moment == "after the commit":
        with pytest.raises(NotFoundError):
            monitoring.delete_monitor(monitor.id, TESTER)
    else:
        monitoring.delete_monitor(monitor.id, TESTER)

    assert cut.topics()["MonitorDeleted"] == 1
    assert str(monitor.id) not in cut.store.keys.store.owners()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_token_is_revoked_once(cut: Cut, moment: Moment) -> None:
    monitoring = cut.store.monitoring
    token = CREATIONS["TokenIssued"](cut, None)

    cut.lose_answer(moment, lambda: monitoring.use_token(token.id, TESTER))
    monitoring.use_token(token.id, TESTER)
    cut.lose_answer(moment, lambda: monitoring.revoke_token(token.id, TESTER))
    if moment == "after the commit":
        with pytest.raises(ConflictError):
            monitoring.revoke_token(token.id, TESTER)
    else:
        monitoring.revoke_token(token.id, TESTER)

    topics = cut.topics()
    assert (topics["TokenRevoked"], topics["TokenUsed"]) == (1, 1)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_location_is_registered_once_and_renamed_once(cut: Cut, moment: Moment) -> None:
    monitoring = cut.store.monitoring

    for name in ("Nuremberg", "Nürnberg"):

        def register(name: str = name) -> object:
            return monitoring.register_location("de-nbg", name, "DE", TESTER)

        cut.lose_answer(moment, register)
        register()
        register()

    topics = cut.topics()
    assert (topics["LocationRegistered"], topics["LocationUpdated"]) == (1, 1)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_location_is_retired_once_and_brought_back_once(cut: Cut, moment: Moment) -> None:
    monitoring = cut.store.monitoring

    def start() -> object:
        return monitoring.register_location("de-nbg", "Nuremberg", "DE", TESTER)

    start()
    cut.lose_answer(moment, lambda: monitoring.retire_location("de-nbg", TESTER))
    if moment == "after the commit":
        with pytest.raises(ConflictError):
            monitoring.retire_location("de-nbg", TESTER)
    else:
        monitoring.retire_location("de-nbg", TESTER)
    cut.lose_answer(moment, start)
    start()

    topics = cut.topics()
    assert (topics["LocationRetired"], topics["LocationRestored"]) == (1, 1)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_first_start_makes_the_first_organization_once(
    postgres: Databases, tmp_path: Path, moment: Moment
) -> None:
    with (
        postgres.migrated() as database,
        cutting_proxy(postgres.server) as proxy,
        Place(tmp_path, Database(proxy.url(database.url))).create() as store,
    ):
        proxy.cut("monitoring", moment)
        with pytest.raises(OperationalError):
            store.monitoring.set_up("Organization", "Customer", TOKEN)

        is_first = store.monitoring.set_up("Organization", "Customer", TOKEN)

        assert is_first == (moment == "before the commit")
        events = store.reader("monitoring").after(0, 100)
        topics = Counter(type(each.event).TOPIC for each in events)
        assert (topics["OrganizationCreated"], topics["TokenIssued"]) == (1, 1)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_batch_of_checks_is_stored_once(cut: Cut, moment: Moment) -> None:
    monitor = cut.store.monitoring.create_monitor(cut.owners.create(), TESTER)
    log = CheckLog(cut.store.checks, Location("local", "Local"))
    log.append([check_of(monitor, 0)])
    batch = [check_of(monitor, minute) for minute in (1, 2, 3)]

    cut.proxy.cut("checks", moment)
    with pytest.raises(OperationalError):
        log.append(batch)
    appended = log.append(batch)
    log.append([check_of(monitor, 4)])

    events = [each.event for each in cut.store.reader("checks").after(0, 100)]
    assert [each.due_at[14:16] for each in events] == ["00", "01", "02", "03", "04"]
    assert [each.originator_version for each in events] == [1, 2, 3, 4, 5]
    assert (appended.recorded, appended.fenced) == (3, 0)
    assert cut.proxy.cuts == 1
