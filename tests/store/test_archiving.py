"""Archiving moves old checks out of their log: nothing is lost, and everything reads as before."""

from __future__ import annotations

import io
import resource
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest

from domain.check import check_log_id
from domain.errors import ArchiveError, ChangedLogError, TransferError
from projections.catalog import Views
from store import archiving
from store.archive.segment import contents_of, encode
from store.archiving import Archiver
from store.proving import log_proof, verify
from store.store import open_store
from store.transfer.backup import make_backup, restore_backup
from store.transfer.export import export_lines
from store.transfer.restore_log import ImportKey, import_lines
from tests.domain.given import TESTER
from tests.domain.realistic import LOCATION, START, Fleet, record
from tests.intruder import intruder_of
from tests.places import Place, on_sqlite
from tests.postgres_server import find_binaries
from tests.store.rich_store import shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from domain.event_mapper import Row
    from store.archiving import ArchivingResult
    from store.store import Store
    from tests.places import Databases


KEY = bytes(range(32))
MONITORS, CHECKS, IN_A_SEGMENT = 20, 900, 256
HALF = timedelta(seconds=300 * CHECKS / MONITORS / 2)
END = START + 2 * HALF
DAY = timedelta(days=1)


@pytest.fixture
def fleet() -> Fleet:
    return Fleet(MONITORS)


@pytest.fixture
def checked(store: Store, fleet: Fleet) -> Store:
    """A store with the checks of some hours."""
    record(store, fleet.checks(CHECKS))
    return store


def archive(
    store: Store, older_than: timedelta = HALF, *, through: int = CHECKS
) -> ArchivingResult:
    """Archive as of the end of the checks."""
    run = Archiver(store, TESTER, clock=lambda: END, most_events=IN_A_SEGMENT)
    return run.run(older_than, through)


def everything(store: Store) -> Sequence[Row]:
    return store.rows("checks").after(0, 1 << 20)


def shown_of_checks(store: Store) -> dict[str, Any]:
    """Return every row that is made of checks."""
    views = ("checks.", "roll_ups.")
    return {name: rows for name, rows in shown(store).items() if name.startswith(views)}


def live(store: Store) -> list[int]:
    """Return the positions in the log itself."""
    return [row.position for row in store.engine.rows("checks").after(0, 1 << 20)]


def test_archived_checks_are_read_as_if_they_still_stood_in_the_log(checked: Store) -> None:
    before = everything(checked)
    events = checked.reader("checks").after(0, CHECKS)

    moved = archive(checked)

    assert CHECKS / 2 - MONITORS <= moved.events <= CHECKS / 2
    assert len(moved.segments) == 2
    assert moved.pruned == moved.events
    assert live(checked) == list(range(moved.events + 1, CHECKS + 1))
    assert everything(checked) == before
    assert checked.reader("checks").after(0, CHECKS) == events
    assert checked.reader("checks").after(100, 500) == events[100:600]
    assert checked.reader("checks").head() == checked.rows("checks").last_given() == CHECKS


def test_the_checks_up_to_one_are_found_wherever_they_are_now(checked: Store) -> None:
    logged: Any = checked.reader("checks").after(0, 1)[0].event
    monitor_id = UUID(logged.monitor_id)
    every = checked.checks.newest(monitor_id, logged.location, CHECKS)

    def found(up_to: int) -> list[Any]:
        return list(checked.checks.newest(monitor_id, logged.location, 3, up_to=up_to))

    def expected(up_to: int) -> list[Any]:
        return [each for each in every if each.originator_version <= up_to][:3]

    moved = archive(checked)
    assert moved.pruned
    versions = range(1, len(every) + 1)
    assert [found(each) for each in versions] == [expected(each) for each in versions]


def test_what_was_archived_is_recorded_with_who_did_it(checked: Store) -> None:
    moved = archive(checked)

    recorded = [
        each.event
        for each in checked.reader("monitoring").after(0, 100)
        if type(each.event).TOPIC == "ChecksArchived"
    ]
    assert [(each.first_position, each.last_position, each.count) for each in recorded] == [
        (1, 256, 256),
        (257, moved.events, moved.events - 256),
    ]
    assert all(each.actor == TESTER for each in recorded)


def test_the_newest_check_of_each_monitor_stays_and_the_next_one_follows(
    checked: Store, place: Place, fleet: Fleet
) -> None:
    server = fleet.servers[0]
    before = checked.checks.newest(server.monitor_id, LOCATION, 500)

    moved = archive(checked, timedelta(0))
    with place.open() as again:
        newest = again.checks.newest(server.monitor_id, LOCATION, 1)
        record(again, fleet.checks(MONITORS))
        after = again.checks.newest(server.monitor_id, LOCATION, 500)

    assert (moved.events, moved.pruned, len(live(checked))) == (CHECKS, CHECKS - MONITORS, 40)
    assert newest == before[:1]
    assert after[0].originator_version == before[0].originator_version + 1
    assert after[1:] == before
    assert checked.checks.newest(server.monitor_id, LOCATION, 3) == after[:3]
    # The next run takes out what is not the newest any more.
    assert archive(checked, timedelta(0), through=0).pruned == MONITORS
    assert len(live(checked)) == MONITORS


def test_a_second_run_does_nothing_and_a_later_one_goes_on(checked: Store) -> None:
    before = everything(checked)

    moved = [archive(checked, age) for age in (HALF, HALF, HALF / 2, timedelta(0))]

    assert [bool(each.events) for each in moved] == [True, False, True, True]
    assert sum(each.events for each in moved) == CHECKS
    assert everything(checked) == before


def test_only_what_all_views_have_seen_is_archived(checked: Store) -> None:
    assert archive(checked, through=0).events == 0
    assert archive(checked, through=100).events == 100
    assert checked.archive.through() == 100


def test_a_check_from_the_future_does_not_hold_up_its_neighbours(store: Store) -> None:
    checks = Fleet(3).checks(30)
    object.__setattr__(checks[5], "finished_at", END + 1000 * DAY)
    record(store, checks)

    assert archive(store).events == 30


def steps(store: Store, *, now: datetime = END, through: int = CHECKS) -> list[int]:
    """Archive step by step, as the service does by itself; return the checks of each step."""
    found: list[int] = []
    while not found or found[-1]:
        run = Archiver(store, TESTER, clock=lambda: now, most_events=IN_A_SEGMENT)
        is_due = run.is_due(HALF)
        found.append(run.step(HALF, through).events)
        run.prune()
        if through == CHECKS:
            assert is_due == bool(found[-1])
    return found


def test_a_step_archives_one_full_segment_and_the_rest_waits_for_a_day(checked: Store) -> None:
    before = everything(checked)

    assert steps(checked) == [256, 0]
    assert steps(checked, now=END + HALF + DAY - timedelta(hours=1)) == [256, 256, 0]
    assert steps(checked, now=END + HALF + DAY) == [CHECKS - 3 * 256, 0]
    assert everything(checked) == before
    assert len(live(checked)) == MONITORS


def test_a_step_makes_no_small_segment_of_what_a_consumer_has_read_so_far(checked: Store) -> None:
    long_after = END + 9 * DAY

    assert steps(checked, now=long_after, through=255) == [0]
    assert steps(checked, now=long_after, through=300) == [256, 0]
    assert steps(checked, now=long_after) == [256, 256, CHECKS - 3 * 256, 0]


def test_the_checks_of_a_step_are_in_the_log_too_until_it_is_pruned(checked: Store) -> None:
    before = everything(checked)
    run = Archiver(checked, TESTER, clock=lambda: END, most_events=IN_A_SEGMENT)

    assert run.step(HALF, CHECKS).events == 256
    assert (len(live(checked)), everything(checked)) == (CHECKS, before)
    run.prune()
    assert (len(live(checked)), everything(checked)) == (CHECKS - 256, before)


def test_nothing_is_due_in_a_log_without_old_checks(store: Store) -> None:
    assert steps(store) == [0]


class Killed(Exception):  # noqa: N818 - not an error of anything
    """The process ends here."""


@pytest.mark.parametrize("step", ["write", "read_back", "_record", "forget_leaves", "prune"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_ended_at_any_step_nothing_is_lost_and_the_next_run_goes_on(
    checked: Store, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    before, proofs = everything(checked), verify(log_proof(checked, "checks"))
    run = Archiver(checked, TESTER, clock=lambda: END, most_events=IN_A_SEGMENT)
    place: Any = {
        "write": checked.archive.files,
        "read_back": checked.archive,
        "_record": run,
        "forget_leaves": run._proof.tiles,
        "prune": checked.engine,
    }[step]
    original = getattr(place, step)
    # At the second segment; the last two are also called once at the start.
    left = 2 + (step in {"forget_leaves", "prune"})

    def ended(*arguments: Any) -> Any:  # noqa: ANN401 - of any step
        nonlocal left
        left -= 1
        if left:
            return original(*arguments)
        if when == "after":
            original(*arguments)
        raise Killed

    monkeypatch.setattr(place, step, ended)
    with pytest.raises(Killed):
        run.run(HALF, CHECKS)
    monkeypatch.undo()

    assert everything(checked) == before
    archive(checked)
    assert everything(checked) == before
    assert len(live(checked)) == CHECKS - checked.archive.through()
    assert [each.last for each in checked.archive.segments()] == [256, checked.archive.through()]
    assert verify(log_proof(checked, "checks")).ok
    assert proofs.ok


def test_a_reader_that_began_before_misses_nothing(checked: Store) -> None:
    """The log is read first and the archive afterwards; rows go the other way."""
    before = everything(checked)
    rows = checked.rows("checks")
    found: list[Row] = []
    archive_, position = iter([HALF, HALF / 2, timedelta(0)]), 0

    while page := rows.after(position, 100):
        found += page
        position = page[-1].position
        age = next(archive_, None)
        if age is not None:
            archive(checked, age)

    assert found == list(before)


def with_a_gap(store: Store, fleet: Fleet) -> None:
    """Lose a position, as a writer does that loses a race, and record more checks."""
    intruder_of(store).skip_to("checks", store.reader("checks").last_given() + 1)
    record(store, fleet.checks(100))


@pytest.mark.parametrize("older_than", [None, HALF, timedelta(0)])
def test_a_reader_of_what_is_not_archived_reads_no_segment(
    checked: Store, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, older_than: timedelta | None
) -> None:
    with_a_gap(checked, fleet)
    before = checked.reader("checks").after(0, 2 * CHECKS)
    if older_than is not None:
        archive(checked, older_than)
    through = checked.archive.through()
    monkeypatch.setattr(checked.archive, "after", lambda *_: pytest.fail("it was read"))

    reader = checked.reader("checks")

    assert reader.after(through, 2 * CHECKS) == before[through:]
    assert [each.position for each in before[-100:]] == [*range(CHECKS + 2, CHECKS + 102)]
    assert reader.after(before[-1].position, 10) == []
    assert checked.rows("checks").after(through, 2 * CHECKS)[-1].position == CHECKS + 101


def test_a_page_with_a_gap_that_begins_in_the_archive_is_whole(
    checked: Store, fleet: Fleet
) -> None:
    with_a_gap(checked, fleet)
    before = checked.reader("checks").after(0, 2 * CHECKS)

    archive(checked)

    for position in (0, 100, checked.archive.through() - 1):
        assert checked.reader("checks").after(position, 2 * CHECKS) == before[position:]


def test_the_proof_holds_through_archiving(checked: Store) -> None:
    log = log_proof(checked, "checks")
    log.grow()
    log.sign()
    inclusion, consistency = log.inclusion(7), log.consistency(100, CHECKS)

    moved = archive(checked)

    report = verify(log_proof(checked, "checks"))
    assert (report.ok, report.events, report.archived) == (True, CHECKS, moved.events)
    assert log.inclusion(7) == inclusion
    assert log.consistency(100, CHECKS) == consistency


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("cut", "cut off"),
        ("gone", "is missing"),
        ("changed", "damaged"),
        ("other", "not those that were archived"),
    ],
)
def test_a_damaged_segment_is_found_and_named_with_its_positions(
    checked: Store, place: Place, damage: str, says: str
) -> None:
    archive(checked)
    first, second = checked.archive.segments()
    behind = intruder_of(checked)
    data = behind.segment(first.first, first.last)
    damaged = {
        "cut": data[:-100],
        "gone": None,
        "changed": data.replace(data[200:210], bytes(10)),
        "other": behind.segment(second.first, second.last),
    }
    behind.put_segment(first.first, first.last, damaged[damage])

    with place.open() as again:
        report = verify(log_proof(again, "checks"))
        with pytest.raises(ArchiveError, match=f"positions 1 to 256: .*{says}"):
            again.reader("checks").after(0, 10)
        assert again.reader("checks").after(256, 10)[0].position == 257

    (finding,) = report.findings
    assert (finding.kind, finding.position, finding.through) == ("archive", 1, 256)
    assert checked.archive.files.place(first.first, first.last) in finding.message
    assert says in finding.message
    assert (report.found, report.events) == (1, CHECKS)


def test_a_segment_that_was_made_anew_with_other_events_is_found(
    checked: Store, place: Place
) -> None:
    """Even with an event about it that fits: the tree knows what stood there."""
    archive(checked)
    contents = checked.archive.segments()[0]
    rows = list(checked.archive.after(0, contents.events))
    rows[9] = rows[9]._replace(state=rows[9].state.replace(b'"up"', b'"down"'))
    forged = contents_of(rows)
    behind = intruder_of(checked)
    behind.put_segment(1, 256, encode("checks", rows))
    for position, *_, topic, state in behind.rows("monitoring"):
        if topic == "ChecksArchived":
            lie = state.replace(contents.digest.encode(), forged.digest.encode())
            change = "UPDATE {events} SET state = ? WHERE {position} = ?"
            behind.sql("monitoring", change, lie, position)

    with place.open() as again:
        report = verify(log_proof(again, "checks"))

    assert [(each.kind, each.position, each.through) for each in report.findings] == [
        ("altered", 1, 256)
    ]


def test_a_changed_event_is_not_archived(checked: Store) -> None:
    log_proof(checked, "checks").grow()
    change = "UPDATE {events} SET topic = 'Other' WHERE {position} = 300"
    intruder_of(checked).sql("checks", change)

    with pytest.raises(ChangedLogError, match=r"changed at position 300: .* from position 257 on"):
        archive(checked)

    assert checked.archive.through() == 256
    assert len(everything(checked)) == CHECKS


@on_sqlite
def test_a_disk_that_takes_no_segment_leaves_everything_as_it_was(checked: Store) -> None:
    before = everything(checked)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = checked.folder.checks_log.stat().st_size
    log_proof(checked, "checks").grow()
    with pytest.MonkeyPatch.context() as patch:
        # Larger than any file may become here: the system refuses it as a full disk does.
        patch.setattr(archiving, "encode", lambda *_: bytes(2 * size))
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(1.5 * size), limits[1]))
        try:
            with pytest.raises(ArchiveError, match=r"cannot write .*: .*; its checks stay in"):
                archive(checked)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert not any(checked.folder.archive.iterdir())
    assert (everything(checked), checked.archive.through()) == (before, 0)
    assert archive(checked).events > 0


@pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")
def test_a_database_that_takes_no_segment_leaves_everything_as_it_was(
    postgres: Databases, tmp_path: Path, fleet: Fleet
) -> None:
    with postgres.migrated() as database, Place(tmp_path, database).create() as store:
        record(store, fleet.checks(CHECKS))
        before = everything(store)
        rename = "ALTER TABLE postwatch.{} RENAME TO {}"
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(rename.format("segments", "away").encode())

            with pytest.raises(ArchiveError, match=r"cannot write .*; its checks stay in"):
                archive(store)

            connection.execute(rename.format("away", "segments").encode())
        assert (everything(store), store.archive.through()) == (before, 0)
        assert archive(store).events > 0


def test_a_view_is_rebuilt_from_archives_as_from_the_log(checked: Store) -> None:
    before = shown_of_checks(checked)
    archive(checked, timedelta(0))
    with Views(checked) as views:
        for projector in views.projectors.values():
            projector.rebuild(lambda *_: None)

    assert shown_of_checks(checked) == before
    assert all(before.values())


@on_sqlite
def test_a_backup_and_what_is_restored_from_it_hold_the_segments(
    checked: Store, tmp_path: Path
) -> None:
    before = everything(checked)
    archive(checked)

    made = make_backup(checked, tmp_path / "backup", with_master_key=True)
    restore_backup(tmp_path / "backup", tmp_path / "again", None)

    assert sum(name.startswith("logs/archive/") for name in made.files) == 2
    with open_store(tmp_path / "again") as again:
        assert everything(again) == before
        assert verify(log_proof(again, "checks")).ok


@on_sqlite
def test_a_store_with_a_damaged_segment_is_not_backed_up(checked: Store, tmp_path: Path) -> None:
    archive(checked)
    behind = intruder_of(checked)
    behind.put_segment(1, 256, behind.segment(1, 256)[:-1])

    with pytest.raises(ArchiveError, match="cut off"):
        make_backup(checked, tmp_path / "backup")

    assert not (tmp_path / "backup").exists()


Exported = tuple[list[bytes], "Sequence[Row]", list[int]]


@pytest.fixture
def exported(place: Place) -> Exported:
    """An export of a store with an archive, its rows, and the positions in the log itself."""
    with place.create(KEY) as store:
        record(store, Fleet(MONITORS).checks(CHECKS))
        archive(store)
        record(store, Fleet(2, seed=3, start=END).checks(10))
        archive(store, HALF / 2)
        return list(export_lines(store)), everything(store), live(store)


def import_into(place: Place, lines: list[bytes]) -> None:
    file = io.BytesIO(b"".join(lines))
    import_lines(file, place.root, ImportKey(KEY, is_kept=True), database=place.database)


def test_an_import_makes_the_segments_again(exported: Exported, other_place: Place) -> None:
    lines, before, in_log = exported
    import_into(other_place, lines)

    with other_place.open() as again:
        assert everything(again) == before
        assert live(again) == in_log
        assert len(again.archive.segments()) == 3
        assert verify(log_proof(again, "checks")).ok
        body = [line for line in export_lines(again) if b'"log"' in line]
    assert body == [line for line in lines if b'"log"' in line]


@pytest.mark.parametrize("lost", [b'"position":100,', b'"position":256,', b'"position":700,'])
def test_an_export_that_lacks_an_archived_check_is_refused(
    exported: Exported, other_place: Place, lost: bytes
) -> None:
    lines = [
        line for line in exported[0] if not (line.startswith(b'{"log":"checks"') and lost in line)
    ]

    with pytest.raises(TransferError):
        import_into(other_place, lines)

    assert not other_place.root.exists()
    if other_place.database is not None:
        with other_place.engine() as engine:
            assert (engine.segments.size(), engine.rows("monitoring").last_given()) == (0, 0)


def test_old_checks_of_a_monitor_are_found_when_few_stand_in_the_log(
    checked: Store, fleet: Fleet
) -> None:
    server = fleet.servers[3]
    before = checked.checks.newest(server.monitor_id, LOCATION, 100)
    archive(checked, timedelta(0))

    assert checked.checks.newest(server.monitor_id, LOCATION, 100) == before
    assert checked.checks.newest(server.monitor_id, LOCATION, 30) == before[:30]


def test_rows_before_one_that_was_pruned_meanwhile_are_as_many_as_asked(
    checked: Store, fleet: Fleet
) -> None:
    stream = check_log_id(fleet.servers[3].monitor_id, LOCATION)
    archive(checked, timedelta(0))
    assert checked.checks.older is not None

    # As a reader asks that had read the versions from 20 on before they were taken out.
    for limit in (1, 5, 19, 100):
        found = checked.checks.older.before(stream, 20, limit)
        assert [int(row.version) for row in found] == list(range(19, 0, -1))[:limit]


@on_sqlite
def test_a_log_that_was_made_small_is_the_same(checked: Store) -> None:
    behind = intruder_of(checked)
    behind.sql("checks", "PRAGMA wal_checkpoint(TRUNCATE)")
    before, size = everything(checked), checked.folder.checks_log.stat().st_size
    archive(checked)

    behind.sql("checks", "VACUUM")
    behind.sql("checks", "PRAGMA wal_checkpoint(TRUNCATE)")

    assert checked.folder.checks_log.stat().st_size < 0.7 * size
    assert everything(checked) == before
    assert checked.rows("checks").last_given() == CHECKS
    assert verify(log_proof(checked, "checks")).ok
