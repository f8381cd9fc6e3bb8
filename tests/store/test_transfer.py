"""An export is the whole store; an import is all of it or nothing."""

from __future__ import annotations

import io
import shutil
import threading
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from eventsourcing.persistence import OperationalError

from domain.errors import MasterKeyError, SecretUnreadableError, StoreError, TransferError
from domain.event_mapper import Row
from store.files.data_folder import DataFolder
from store.files.staging_folder import INCOMING, STORE_PARTS, refuse_unless_empty, staged_folder
from store.keys import sealing
from store.keys.key_ring import DIGEST_KEY
from store.keys.master_keys import read_key_file, write_key_file
from store.ports.engine import LOGS, Database
from store.proving import log_proof, verify
from store.store import create_store, open_store
from store.transfer.export import export_lines
from store.transfer.export_format import End, event_line, mac_of, read_event
from store.transfer.restore_log import ImportKey, import_lines
from tests.cutting_proxy import cutting_proxy
from tests.domain.given import TESTER, as_created, check_of, make_owners
from tests.places import ENGINES, Place, place_on
from tests.postgres_server import find_binaries
from tests.store.rich_store import REQUEST, SECRET, Rich, fill, rows, shown
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cutting_proxy import Moment
    from tests.places import Databases


KEY = bytes(range(32))


@pytest.fixture(scope="module", params=ENGINES)
def source(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """The place of a store that is exported and never changed, on each engine."""
    with place_on(request, tmp_path_factory.mktemp("rich") / "data") as made:
        yield made


@pytest.fixture(scope="module")
def rich(source: Place) -> Rich:
    """What is in it, under `KEY`."""
    return fill(source, KEY)


@pytest.fixture(scope="module")
def lines(source: Place, rich: Rich) -> list[bytes]:
    """Its export."""
    del rich
    return exported(source, KEY)


@pytest.fixture(scope="module")
def some_lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """An export for tests of what is refused: of one engine, for imports into both."""
    made = Place(tmp_path_factory.mktemp("some") / "data")
    fill(made, KEY)
    return exported(made, KEY)


def exported(place: Place, key: bytes | None = None, new: bytes | None = None) -> list[bytes]:
    with place.open(key) as store:
        return list(export_lines(store, new))


def imported(lines: list[bytes], place: Place, key: bytes = KEY, *, keep: bool = False) -> None:
    file, master_key = io.BytesIO(b"".join(lines)), ImportKey(key, is_kept=keep)
    import_lines(file, place.root, master_key, database=place.database)


def require_nothing(place: Place) -> None:
    """Fail if anything of a store is in a place."""
    if place.database is None:
        assert not place.root.exists() or list(place.root.iterdir()) == []
        return
    assert not DataFolder(place.root).master_key.exists()
    assert rows(place) == dict.fromkeys(LOGS, ([], 0))
    with place.engine() as engine:
        assert engine.keys(create=False).master_fingerprint() is None
        assert engine.keys(create=False).owners() == []
        assert engine.segments.size() == 0


def test_a_round_trip_keeps_every_event_every_position_and_every_row_of_every_view(
    source: Place, rich: Rich, lines: list[bytes], place: Place
) -> None:
    del rich
    imported(lines, place)

    assert rows(place) == rows(source)
    with source.open(KEY) as one, place.open(KEY) as two:
        assert len(one.checks.recorder.select_notifications(0, 1000)) == 66
        before, after = shown(one), shown(two)
    assert before == after
    assert len(before["monitors.monitors"]) == 3
    again = exported(place, KEY)
    assert again[1:-1] == lines[1:-1]


def test_heads_that_were_signed_before_hold_for_what_was_imported(
    source: Place, lines: list[bytes], place: Place, tmp_path: Path
) -> None:
    imported(lines, place)

    kept = {log: tmp_path / f"{log}.heads" for log in LOGS}
    with source.open(KEY) as one, place.open(KEY) as two:
        for log, path in kept.items():
            before, after = log_proof(one, log), log_proof(two, log)
            before.grow()
            before.sign()
            after.grow()
            path.write_bytes(b"".join(line for _, line in before.heads.lines()))
            assert after.newest_head() is None
            assert after.public_key().raw == before.public_key().raw
            report = verify(after, published=[path])
            assert (report.ok, report.heads) == (True, 1)


def test_what_was_imported_is_a_store_that_goes_on(
    rich: Rich, lines: list[bytes], place: Place
) -> None:
    made = rich
    imported(lines, place)

    with place.open(KEY) as store:
        monitoring = store.monitoring
        repeat = monitoring.idempotency_key("token", "key-1", REQUEST)
        created = as_created(monitoring, made.kept)
        owners = make_owners(store)
        assert monitoring.unsealed(made.kept, "smtp", created.config)["auth"]["pass"] == SECRET
        gone = as_created(monitoring, made.deleted)
        with pytest.raises(SecretUnreadableError, match="was destroyed"):
            monitoring.unsealed(made.deleted, "smtp", gone.config)
        again = monitoring.create_monitor(owners.create(), TESTER, repeat=repeat)
        assert again.id == made.repeated
        assert owners.organization.number == 3
        assert monitoring.create_monitor(owners.create(), TESTER).number == 4
        store.checks.record([check_of(again)], location="local", actor=TESTER)
        assert store.checks.recorder.max_notification_id() == 81, "a position is never given twice"


def test_an_export_holds_no_secret_and_no_key_in_clear(source: Place, lines: list[bytes]) -> None:
    text = b"".join(lines)
    with source.open(KEY) as store, store.keys.store.table() as table:
        clear = [sealing.unwrap_key(KEY, wrapped, owner) for owner, wrapped in table.all()]

    assert SECRET.encode() not in text
    assert sealing.format_master_key(KEY).encode() not in text
    assert [key for key in clear if sealing.format_master_key(key).encode() in text] == []


def test_an_export_for_another_master_key_is_opened_by_that_one_alone(
    source: Place, rich: Rich, place: Place
) -> None:
    new = sealing.new_key()
    lines = exported(source, KEY, new)

    with pytest.raises(MasterKeyError, match="the export is for master key"):
        imported(lines, place, KEY)
    imported(lines, place, new, keep=True)

    assert read_key_file(DataFolder(place.root).master_key) == new
    with place.open() as store:
        created = as_created(store.monitoring, rich.kept)
        opened = store.monitoring.unsealed(rich.kept, "smtp", created.config)
        assert opened["auth"]["pass"] == SECRET
        assert store.keys.store.master_fingerprint() == sealing.fingerprint(new)
    for line in lines:
        found = orjson.loads(line)
        if "key" in found:
            with pytest.raises(MasterKeyError):
                sealing.unwrap_key(KEY, b64decode(found["wrapped"]), found["key"])


def changed(line: bytes, **values: Any) -> bytes:  # noqa: ANN401 - any JSON
    return orjson.dumps({**orjson.loads(line), **values}, option=orjson.OPT_APPEND_NEWLINE)


def resigned(lines: list[bytes], key: bytes) -> list[bytes]:
    """Return lines with an end that fits them, as a program with another key can make it."""
    found = orjson.loads(lines[-1])["end"]
    digest = sha256(b"".join(lines[:-1])).hexdigest()
    return [*lines[:-1], End(found["keys"], found["events"], digest, mac_of(key, digest)).line()]


DAMAGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "nothing at all": (lambda _: [], "cut off after line 0"),
    "not an export": (lambda _: [b'{"a": 1}\n'], "not the header"),
    "not even JSON": (lambda _: [b"\x00\x01\x02"], "line 1"),
    "the header alone": (lambda x: x[:1], "cut off after line 1"),
    "half a header": (lambda x: [changed(x[0], lastGiven={"checks": 1}), *x[1:]], "whole header"),
    "cut in the middle": (lambda x: x[: len(x) // 2], "cut off after line"),
    "cut within a line": (lambda x: [*x[:-2], x[-2][:40]], "cut off at line"),
    "without its end": (lambda x: x[:-1], "cut off after line"),
    "a line missing": (lambda x: x[:20] + x[21:], "lacks lines"),
    "a line twice": (lambda x: [*x[:20], x[19], *x[20:]], "out of place"),
    "two lines swapped": (lambda x: [*x[:20], x[21], x[20], *x[22:]], "out of place"),
    "a key behind events": (lambda x: [x[0], *x[2:-1], x[1], x[-1]], "out of place"),
    "a newer version": (lambda x: [changed(x[0], version=3), *x[1:]], "is of version 3"),
    "a changed topic": (lambda x: [*x[:20], changed(x[20], topic="X"), *x[21:]], "SHA-256"),
    "a position beyond the end": (
        lambda x: [*x[:-2], changed(x[-2], position=99999), x[-1]],
        "out of place",
    ),
    "half an event": (lambda x: [*x[:-2], b'{"log":"checks"}\n', x[-1]], "whole event"),
    "a position beyond all numbers": (
        lambda x: [*x[:-2], changed(x[-2], position=1 << 63), x[-1]],
        "whole event",
    ),
    "a version beyond all numbers": (
        lambda x: [*x[:-2], changed(x[-2], version=1 << 63), x[-1]],
        "whole event",
    ),
    "an unknown log": (lambda x: [*x[:-2], changed(x[-2], log="others"), x[-1]], "whole event"),
    "a version twice": (
        lambda x: resigned(
            [*x[:-2], changed(x[-2], version=orjson.loads(x[-4])["version"]), x[-1]], KEY
        ),
        "same version of one stream",
    ),
    "half a key": (lambda x: [x[0], b'{"key":"x"}\n', *x[1:]], "whole key"),
    "half an end": (lambda x: [*x[:-1], b'{"end":{"keys":1}}\n'], "whole end"),
    "changed by one who made the digest anew": (
        lambda x: resigned([*x[:20], changed(x[20], topic="X"), *x[21:]], bytes(32)),
        "without its master key",
    ),
    "more behind the end": (lambda x: [*x, b"\n"], "after the end"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_export_is_refused_and_nothing_is_touched(
    some_lines: list[bytes], place: Place, damage: str
) -> None:
    break_lines, words = DAMAGES[damage]

    with pytest.raises(TransferError, match=words) as refusal:
        imported(break_lines(some_lines), place, keep=True)

    assert SECRET not in str(refusal.value)
    require_nothing(place)


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_an_export_cut_off_anywhere_is_refused(
    some_lines: list[bytes], place: Place, cut: int
) -> None:
    place.root.mkdir()
    whole = b"".join(some_lines)

    with pytest.raises(TransferError):
        imported([whole[: len(whole) * cut // 120]], place)

    require_nothing(place)


def test_a_wrapped_key_that_does_not_open_is_refused(some_lines: list[bytes], place: Place) -> None:
    broken = [some_lines[0], changed(some_lines[1], key="another-owner"), *some_lines[2:]]

    with pytest.raises(MasterKeyError, match="does not open"):
        imported(broken, place)

    require_nothing(place)


def test_a_store_is_never_imported_over(some_lines: list[bytes], place: Place) -> None:
    place.create(KEY).close()
    before = rows(place)

    with pytest.raises(StoreError, match=r"is not empty|holds a store already"):
        imported(some_lines, place)

    assert rows(place) == before


@pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")
def test_a_database_without_the_schema_takes_no_import(
    some_lines: list[bytes], postgres: Databases, tmp_path: Path
) -> None:
    with postgres.empty() as database, pytest.raises(StoreError, match="run `postwatch migrate`"):
        imported(some_lines, Place(tmp_path / "data", database), keep=True)

    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")
@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_an_import_whose_last_answer_was_lost_is_there_whole_or_not_at_all(
    some_lines: list[bytes], postgres: Databases, tmp_path: Path, moment: Moment
) -> None:
    with postgres.migrated() as database, cutting_proxy(postgres.server) as proxy:
        place = Place(tmp_path / "data", Database(proxy.url(database.url)))
        proxy.cut("store", moment)
        with pytest.raises(OperationalError):
            imported(some_lines, place, keep=True)

        if moment == "after the commit":
            with pytest.raises(StoreError, match="holds a store already"):
                imported(some_lines, place, keep=True)
        else:
            imported(some_lines, place, keep=True)

        assert proxy.cuts == 1
        assert exported(place)[1:-1] == some_lines[1:-1]


def test_another_master_key_in_the_folder_of_the_host_stops_an_import(
    some_lines: list[bytes], place: Place
) -> None:
    if place.database is not None:
        DataFolder(place.root).create()
        write_key_file(DataFolder(place.root).master_key, sealing.new_key())

        with pytest.raises(StoreError, match="cannot write"):
            imported(some_lines, place, keep=True)

        DataFolder(place.root).master_key.unlink()
        require_nothing(place)
        write_key_file(DataFolder(place.root).master_key, KEY)

    imported(some_lines, place, keep=True)

    place.open().close()


@pytest.mark.parametrize("left", ["views/monitors.db", "logs/checks.db", "keys/master.key", "x"])
def test_a_folder_with_anything_of_a_store_in_it_is_not_empty(
    some_lines: list[bytes], tmp_path: Path, left: str
) -> None:
    path = tmp_path / "data" / left
    path.parent.mkdir(parents=True)
    path.write_text("left over")

    with pytest.raises(StoreError, match="is not empty"):
        imported(some_lines, Place(tmp_path / "data"))

    assert [each for each in (tmp_path / "data").rglob("*") if each.is_file()] == [path]


def test_what_a_killed_import_left_is_thrown_away_by_the_next(
    some_lines: list[bytes], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    (data / INCOMING / "logs").mkdir(parents=True)
    (data / INCOMING / "logs" / "monitoring.db").write_text("to be moved")
    (data / INCOMING / ".moving").touch()
    (data / "keys").mkdir()
    (data / "keys" / "keys.db").write_text("moved in, and then it was killed")

    imported(some_lines, Place(data))

    assert exported(Place(data), KEY)[1:-1] == some_lines[1:-1]
    assert not (data / INCOMING).exists()


def test_a_store_that_was_made_after_a_killed_import_is_left_alone(
    some_lines: list[bytes], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    create_store(data, KEY).close()
    (data / INCOMING / "logs").mkdir(parents=True)
    (data / INCOMING / ".moving").touch()

    with pytest.raises(StoreError, match="is not empty"):
        imported(some_lines, Place(data))

    open_store(data, KEY).close()


def test_two_processes_cannot_fill_one_folder(tmp_path: Path) -> None:
    with (
        staged_folder(tmp_path / "data", ["logs"]),
        pytest.raises(StoreError, match="another process is filling"),
        staged_folder(tmp_path / "data", ["logs"]),
    ):
        pytest.fail("both are in")


def test_a_move_is_not_undone_by_another_process(tmp_path: Path) -> None:
    root = tmp_path / "data"
    with staged_folder(root, STORE_PARTS) as incoming:
        (incoming / ".moving").touch()
        (root / "keys").mkdir()
        (root / "keys" / "keys.db").write_text("moved in just now")

        with pytest.raises(StoreError, match="another process is filling"):
            refuse_unless_empty(root)

        assert (root / "keys" / "keys.db").exists()
        shutil.rmtree(root / "keys")


def test_a_folder_that_cannot_be_written_is_a_store_error(
    some_lines: list[bytes], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(StoreError):
            imported(some_lines, Place(root))


def test_a_state_that_is_not_written_as_we_write_it_comes_back_byte_by_byte() -> None:
    for state in (b'{"a": 1}', b'{"a":1.50}', b"\xff not json", b'{"a":"\\u00e9"}', b'{"a":1}'):
        row = Row(7, b"0" * 31 + b"a", b"3", b"Topic", state)
        found = orjson.loads(event_line("checks", row))
        assert read_event(1, found) == ("checks", row)
        assert ("bytes" in found) == (state != b'{"a":1}')


@pytest.mark.parametrize(
    "row",
    [
        Row(7, b"A" * 32, b"3", b"Topic", b"{}"),
        Row(7, b"0" * 32, b"03", b"Topic", b"{}"),
        Row(7, b"0" * 32, b"x", b"Topic", b"{}"),
        Row(7, b"0" * 32, b"3", b"\xff", b"{}"),
        Row(7, b"no id", b"3", b"Topic", b"{}"),
    ],
)
def test_a_row_that_is_no_event_stops_an_export_at_its_position(row: Row) -> None:
    with pytest.raises(TransferError, match="damaged at position 7"):
        event_line("checks", row)


def test_an_export_made_while_others_write_lacks_no_key(place: Place) -> None:
    config = {"auth": {"user": "u", "pass": SECRET}}
    stop = threading.Event()
    made: list[object] = []
    with place.create(KEY) as store:
        owners = make_owners(store)

        def write(_: int) -> None:
            while not stop.is_set():
                created = store.monitoring.create_monitor(owners.create(config=config), TESTER)
                made.append(created.id)
                if created.number % 2:
                    store.monitoring.delete_monitor(created.id, TESTER)

        def export_while_they_write() -> list[bytes]:
            before = len(made)
            wait_until(lambda: len(made) > before, what="a monitor")
            return exported(place, KEY)

        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(write, number) for number in range(2)]
            try:
                exports = [export_while_they_write() for _ in range(10)]
            finally:
                stop.set()
            for writer in writers:
                writer.result(60)
    for export in exports:
        found = [orjson.loads(line) for line in export]
        events = [each for each in found if each.get("log") == "monitoring"]
        deleted = {each["stream"] for each in events if each["topic"] == "MonitorDeleted"}
        created = {each["stream"] for each in events if each["topic"] == "MonitorCreated"}
        keys = {each["key"] for each in found if "key" in each} - {DIGEST_KEY}
        assert created - deleted <= keys
