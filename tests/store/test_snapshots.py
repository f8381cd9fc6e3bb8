"""Long streams are folded from snapshots, which are a cache: right, and never the truth."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import LRUCache

from domain.access_token import USE_RECORDED_EVERY
from domain.commands import IssueToken, UpdateCustomer, UpdateMonitor
from domain.maintenance_window import MaintenanceWindow
from domain.monitor import Monitor
from domain.notification_channel import NotificationChannel
from domain.snapshots import EVERY, NoSnapshots, encode
from domain.tag import Tag, monitor_tags_id
from store.files.data_folder import DataFolder
from store.sqlite.snapshots import SnapshotFile, domain_code
from tests.domain.given import NOON, TESTER, make_owners
from tests.domain.test_resources import WEBHOOK, WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventsourcing.domain import Aggregate

    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


TIMES: Final = 3 * EVERY + 2


def forget(store: Store) -> None:
    """Have a store fold its aggregates again, as a process that has just started does."""
    store.monitoring.repository.cache = LRUCache(1000)


def folded(store: Store, stream: UUID) -> Aggregate:
    """Return an aggregate folded from the first event of its stream."""
    version = store.monitoring.recorder.select_events(stream, desc=True, limit=1)[0]
    found: Aggregate = store.monitoring.repository.get(stream, version=version.originator_version)
    return found


def snapshots(place: Place) -> SnapshotFile:
    """Return the snapshots of a place."""
    return SnapshotFile(DataFolder(place.root).snapshots)


def of_monitor(store: Store, owners: Owners) -> UUID:
    monitor = store.monitoring.create_monitor(owners.create(port=587), TESTER)
    for number in range(TIMES):
        changes = {"name": f"Name {number}", "check_interval": 1 + number / 7, "port": None}
        store.monitoring.update_monitor(UpdateMonitor(monitor.id, changes), TESTER)
    return monitor.id


def of_customer(store: Store, owners: Owners) -> UUID:
    for number in range(TIMES):
        change = UpdateCustomer(owners.customer.id, {"name": f"Name {number}"})
        store.monitoring.update_customer(change, TESTER)
    return owners.customer.id


def of_token(store: Store, owners: Owners) -> UUID:
    command = IssueToken(owners.organization.id, None, "Deployment", "user", "wsm_" + "t" * 40)
    token = store.monitoring.issue_token(command, TESTER)
    for number in range(TIMES):
        moment = NOON + number * USE_RECORDED_EVERY
        store.monitoring.clock = partial(datetime.fromisoformat, moment.isoformat())
        store.monitoring.use_token(token.id, TESTER)
    return token.id


def of_location(store: Store, owners: Owners) -> UUID:
    del owners
    for number in range(TIMES + 1):
        made = store.monitoring.register_location("de-nbg", f"Name {number}", "DE", TESTER)
    return made.location.id


def of_tags(store: Store, owners: Owners) -> UUID:
    resources, organization = store.monitoring.resources, owners.organization.id
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    for number in range(TIMES + 1):
        fields = {"name": f"Tag {number}", "color": "red"}
        tag = resources.create(Tag, organization, fields, TESTER)
        resources.tag_monitor(organization, monitor.id, tag.id, TESTER)
    return monitor_tags_id(monitor.id)


def of_resource(
    resource_class: Any,  # noqa: ANN401 - any class of resources
    fields: dict[str, Any],
) -> Callable[[Store, Owners], UUID]:
    def change(store: Store, owners: Owners) -> UUID:
        resources, organization = store.monitoring.resources, owners.organization.id
        made: UUID = resources.create(resource_class, organization, fields, TESTER).id
        for number in range(TIMES):
            changes = {"name": f"Name {number}"}
            resources.update(resource_class, organization, made, changes, TESTER)
        return made

    return change


def of_package(store: Store, owners: Owners) -> UUID:
    for number in range(TIMES + 1):
        made = store.monitoring.resources.set_package(
            owners.organization.id, "standard", {"maxUrls": number + 1}, TESTER
        )
    return made.id


LONG: Final[dict[str, Callable[[Store, Owners], UUID]]] = {
    "monitor": of_monitor,
    "customer": of_customer,
    "token": of_token,
    "location": of_location,
    "monitor_tags": of_tags,
    "maintenance_window": of_resource(MaintenanceWindow, WINDOW),
    "notification_channel": of_resource(NotificationChannel, WEBHOOK),
    "tag": of_resource(Tag, {"name": "Production", "color": "red"}),
    "package_config": of_package,
}


@pytest.mark.parametrize("change", LONG.values(), ids=LONG)
@pytest.mark.any_engine
def test_what_a_snapshot_gives_is_what_all_events_give(
    place: Place, store: Store, owners: Owners, change: Callable[[Store, Owners], UUID]
) -> None:
    stream = change(store, owners)
    forget(store)

    found: Aggregate = store.monitoring.repository.get(stream)

    assert snapshots(place).read(stream) is not None
    assert vars(found) == vars(folded(store, stream))
    assert repr(sorted(vars(found).items())) == repr(sorted(vars(folded(store, stream)).items()))


def test_a_long_stream_is_read_only_to_its_snapshot_on_every_engine(
    store: Store, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = of_monitor(store, owners)
    forget(store)
    read: list[int] = []
    mapper = store.monitoring.mapper
    original = mapper.to_domain_event

    def noted(stored: Any) -> Any:  # noqa: ANN401 - as the library's
        read.append(stored.originator_version)
        return original(stored)

    monkeypatch.setattr(mapper, "to_domain_event", noted)
    store.monitoring.update_monitor(UpdateMonitor(stream, {"name": "Another"}), TESTER)

    assert len(read) < EVERY
    assert min(read) > TIMES - EVERY


def test_a_process_that_finds_no_snapshot_folds_all_and_leaves_one(
    place: Place, store: Store, owners: Owners
) -> None:
    stream = of_monitor(store, owners)
    forget(store)
    shutil.rmtree(DataFolder(place.root).views)

    with place.open() as other:
        found = other.monitoring.load(Monitor, stream, "")
        assert vars(found) == vars(folded(other, stream))
        assert snapshots(place).read(stream) is not None


def test_a_snapshot_of_other_code_is_ignored_and_replaced(tmp_path: Path) -> None:
    stream = uuid4()
    older = SnapshotFile(tmp_path / "views" / "snapshots.db", lambda: "older")
    newer = SnapshotFile(tmp_path / "views" / "snapshots.db", lambda: "newer")
    older.write(stream, b"of older code")

    assert older.read(stream) == b"of older code"
    assert newer.read(stream) is None
    newer.write(stream, b"of newer code")
    assert (newer.read(stream), older.read(stream)) == (b"of newer code", None)
    assert domain_code() not in ("older", "newer")
    older.close()
    newer.close()


@pytest.mark.only_sqlite
def test_a_snapshot_of_events_that_a_restored_log_lacks_is_ignored(
    place: Place, tmp_path: Path
) -> None:
    folder = DataFolder(place.root)
    with place.create() as store:
        owners = make_owners(store)
        monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    shutil.copytree(folder.root / "logs", tmp_path / "copied")
    with place.open() as store:
        for number in range(TIMES):
            change = UpdateMonitor(monitor.id, {"name": f"Lost {number}"})
            store.monitoring.update_monitor(change, TESTER)
    assert snapshots(place).read(monitor.id) is not None
    shutil.rmtree(folder.root / "logs")
    shutil.copytree(tmp_path / "copied", folder.root / "logs")

    with place.open() as store:
        assert store.monitoring.load(Monitor, monitor.id, "").name == monitor.name
        for number in range(TIMES):
            forget(store)
            change = UpdateMonitor(monitor.id, {"hostname": f"host-{number}.example.com"})
            changed = store.monitoring.update_monitor(change, TESTER)
            assert changed.name == monitor.name
        forget(store)
        found = store.monitoring.load(Monitor, monitor.id, "")
        assert vars(found) == vars(folded(store, monitor.id))


@pytest.mark.any_engine
@pytest.mark.parametrize("damaged", [b"", b"[]", b"{}", b'{"topic": "Organization"}', b"\xff"])
def test_a_damaged_snapshot_is_ignored(
    place: Place, store: Store, owners: Owners, damaged: bytes
) -> None:
    stream = of_monitor(store, owners)
    snapshots(place).write(stream, damaged)
    forget(store)

    assert vars(store.monitoring.load(Monitor, stream, "")) == vars(folded(store, stream))
    assert snapshots(place).read(stream) != damaged


@pytest.mark.any_engine
def test_a_damaged_file_costs_time_only_and_is_removed(
    place: Place, store: Store, owners: Owners
) -> None:
    stream = of_monitor(store, owners)
    store.close()
    path = DataFolder(place.root).snapshots
    for each in path.parent.glob("snapshots.db-*"):
        each.unlink()
    path.write_bytes(b"not a database, " * 1000)

    with place.open() as other:
        assert vars(other.monitoring.load(Monitor, stream, "")) == vars(folded(other, stream))
        change = UpdateMonitor(stream, {"name": "Another"})
        assert other.monitoring.update_monitor(change, TESTER).name == "Another"
    assert not path.exists()


def test_a_folder_that_cannot_be_written_keeps_no_snapshots(tmp_path: Path) -> None:
    (tmp_path / "views").write_text("in the way")
    found = SnapshotFile(tmp_path / "views" / "snapshots.db")

    found.write(uuid4(), b"")
    found.write(uuid4(), b"")

    assert found.read(uuid4()) is None


def test_a_file_that_another_process_writes_is_used_again_later(tmp_path: Path) -> None:
    path, stream = tmp_path / "snapshots.db", uuid4()
    found = SnapshotFile(path)
    found.write(stream, b"first")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    found.write(stream, b"refused")
    other.execute("ROLLBACK")

    assert found.read(stream) == b"first"
    found.write(stream, b"second")
    assert found.read(stream) == b"second"


@pytest.mark.any_engine
def test_a_snapshot_that_is_far_behind_saves_the_events_before_it_and_is_replaced(
    place: Place, store: Store, owners: Owners
) -> None:
    stream = store.monitoring.create_monitor(owners.create(), TESTER).id
    rename(store, stream, EVERY)
    behind = snapshots(place).read(stream)
    assert behind is not None
    rename(store, stream, TIMES)
    snapshots(place).write(stream, behind)
    forget(store)

    found = store.monitoring.load(Monitor, stream, "")

    assert vars(found) == vars(folded(store, stream))
    assert snapshots(place).read(stream) not in (None, behind)


@pytest.mark.any_engine
def test_a_snapshot_after_another_event_than_the_log_has_is_ignored(
    place: Place, store: Store, owners: Owners
) -> None:
    stream = of_monitor(store, owners)
    other: Any = store.monitoring.load(Monitor, stream, "")
    wrong = encode(other, "the digest of another event")
    assert wrong is not None
    snapshots(place).write(stream, wrong)
    forget(store)

    found = store.monitoring.load(Monitor, stream, "")

    assert vars(found) == vars(folded(store, stream))
    assert snapshots(place).read(stream) not in (None, wrong)


@pytest.mark.any_engine
def test_an_aggregate_that_would_not_come_back_is_saved_without_a_snapshot(
    place: Place, store: Store, owners: Owners
) -> None:
    stream = store.monitoring.create_monitor(owners.create(), TESTER).id
    rename(store, stream, EVERY - 2)
    monitor: Any = store.monitoring.load(Monitor, stream, "")
    monitor.unknown = object()
    monitor.update({"name": "The last one before a snapshot"}, actor=TESTER, now=NOON)

    store.monitoring.save(monitor)

    assert monitor.version == EVERY
    assert snapshots(place).read(stream) is None


def rename(store: Store, stream: UUID, times: int) -> None:
    """Change a monitor some times."""
    for number in range(times):
        change = UpdateMonitor(stream, {"name": f"{times} {number}"})
        store.monitoring.update_monitor(change, TESTER)


def test_what_would_not_come_back_is_not_kept(owners: Owners) -> None:
    organization: Any = owners.organization

    for value in (object(), ("a", "tuple"), {1: "no text"}, [NOON]):
        organization.name = value
        assert encode(organization, "") is None


def test_without_snapshots_nothing_is_kept() -> None:
    stream, keeps_nothing = uuid4(), NoSnapshots()
    keeps_nothing.write(stream, b"")

    assert keeps_nothing.read(stream) is None
