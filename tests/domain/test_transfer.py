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

from domain import sealing
from domain.errors import MasterKeyError, SecretUnreadableError, StoreError, TransferError
from domain.keys import DIGEST_KEY
from domain.master_keys import read_key_file
from domain.proof.leaf import Row
from domain.storage.data_folder import DataFolder
from domain.store import create_store, open_store
from domain.transfer.exporting import export_lines
from domain.transfer.fresh_folder import INCOMING, STORE_PARTS, filled, refuse_unless_empty
from domain.transfer.importing import ImportKey, import_lines
from domain.transfer.lines import End, event_line, mac_of, read_event
from tests.domain.given import TESTER, check_of, make_owners
from tests.domain.rich_store import REQUEST, SECRET, Rich, fill, rows, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rich]:
    """A store under `KEY`, and what is in it."""
    root = tmp_path_factory.mktemp("rich") / "data"
    return root, fill(root, KEY)


@pytest.fixture(scope="module")
def lines(rich: tuple[Path, Rich]) -> list[bytes]:
    """Its export."""
    return exported(rich[0], KEY)


def exported(root: Path, key: bytes | None = None, new: bytes | None = None) -> list[bytes]:
    with open_store(root, key) as store:
        return list(export_lines(store, new))


def imported(lines: list[bytes], root: Path, key: bytes = KEY, *, keep: bool = False) -> None:
    import_lines(io.BytesIO(b"".join(lines)), root, ImportKey(key, is_kept=keep))


def test_a_round_trip_keeps_every_event_every_position_and_every_row_of_every_view(
    rich: tuple[Path, Rich], lines: list[bytes], tmp_path: Path
) -> None:
    imported(lines, tmp_path / "copy")

    assert rows(DataFolder(tmp_path / "copy")) == rows(DataFolder(rich[0]))
    with open_store(rich[0], KEY) as one, open_store(tmp_path / "copy", KEY) as two:
        assert len(one.checks.recorder.select_notifications(0, 1000)) == 66
        before, after = shown(one), shown(two)
    assert before == after
    assert len(before["monitors.monitors"]) == 3
    again = exported(tmp_path / "copy", KEY)
    assert again[1:-1] == lines[1:-1]


def test_what_was_imported_is_a_store_that_goes_on(
    rich: tuple[Path, Rich], lines: list[bytes], tmp_path: Path
) -> None:
    made = rich[1]
    imported(lines, tmp_path / "copy")

    with open_store(tmp_path / "copy", KEY) as store:
        monitoring = store.monitoring
        repeat = monitoring.repeat_key("token", "key-1", REQUEST)
        created = monitoring.created(made.kept)
        owners = make_owners(store)
        assert monitoring.unsealed(made.kept, "smtp", created.config)["auth"]["pass"] == SECRET
        gone = monitoring.created(made.deleted)
        with pytest.raises(SecretUnreadableError, match="was destroyed"):
            monitoring.unsealed(made.deleted, "smtp", gone.config)
        again = monitoring.create_monitor(owners.create(), TESTER, repeat=repeat)
        assert again.id == made.repeated
        assert owners.organization.number == 3
        assert monitoring.create_monitor(owners.create(), TESTER).number == 4
        store.checks.record([check_of(again)], location="local", actor=TESTER)
        assert store.checks.recorder.max_notification_id() == 81, "a position is never given twice"


def test_an_export_holds_no_secret_and_no_key_in_clear(
    rich: tuple[Path, Rich], lines: list[bytes]
) -> None:
    text = b"".join(lines)
    with open_store(rich[0], KEY) as store, store.keys.store.table() as table:
        clear = [sealing.unwrap_key(KEY, wrapped, owner) for owner, wrapped in table.all()]

    assert SECRET.encode() not in text
    assert sealing.format_master_key(KEY).encode() not in text
    assert [key for key in clear if sealing.format_master_key(key).encode() in text] == []


def test_an_export_for_another_master_key_is_opened_by_that_one_alone(
    rich: tuple[Path, Rich], tmp_path: Path
) -> None:
    root, made = rich
    new = sealing.new_key()
    lines = exported(root, KEY, new)

    with pytest.raises(MasterKeyError, match="the export is for master key"):
        imported(lines, tmp_path / "copy", KEY)
    imported(lines, tmp_path / "copy", new, keep=True)

    assert read_key_file(DataFolder(tmp_path / "copy").master_key) == new
    with open_store(tmp_path / "copy") as store:
        created = store.monitoring.created(made.kept)
        opened = store.monitoring.unsealed(made.kept, "smtp", created.config)
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
    """Return lines with an end that fits them, as somebody with another key can make it."""
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
    "a newer version": (lambda x: [changed(x[0], version=2), *x[1:]], "is of version 2"),
    "a changed topic": (lambda x: [*x[:20], changed(x[20], topic="X"), *x[21:]], "SHA-256"),
    "a position beyond the end": (
        lambda x: [*x[:-2], changed(x[-2], position=99999), x[-1]],
        "out of place",
    ),
    "half an event": (lambda x: [*x[:-2], b'{"log":"checks"}\n', x[-1]], "whole event"),
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
    "more behind the end": (lambda x: [*x, b"\n"], "behind the end"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_export_is_refused_and_nothing_is_touched(
    lines: list[bytes], tmp_path: Path, damage: str
) -> None:
    break_lines, words = DAMAGES[damage]

    with pytest.raises(TransferError, match=words) as refusal:
        imported(break_lines(lines), tmp_path / "copy")

    assert SECRET not in str(refusal.value)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_an_export_cut_off_anywhere_is_refused(
    lines: list[bytes], tmp_path: Path, cut: int
) -> None:
    (tmp_path / "copy").mkdir()
    whole = b"".join(lines)

    with pytest.raises(TransferError):
        imported([whole[: len(whole) * cut // 120]], tmp_path / "copy")

    assert list((tmp_path / "copy").iterdir()) == []


def test_a_wrapped_key_that_does_not_open_is_refused(lines: list[bytes], tmp_path: Path) -> None:
    broken = [lines[0], changed(lines[1], key="another-owner"), *lines[2:]]

    with pytest.raises(MasterKeyError, match="does not open"):
        imported(broken, tmp_path / "copy")

    assert not (tmp_path / "copy").exists()


def test_a_store_is_never_imported_over(lines: list[bytes], tmp_path: Path) -> None:
    create_store(tmp_path / "data", KEY).close()
    before = rows(DataFolder(tmp_path / "data"))

    with pytest.raises(StoreError, match="is not empty"):
        imported(lines, tmp_path / "data")

    assert rows(DataFolder(tmp_path / "data")) == before


@pytest.mark.parametrize("left", ["views/monitors.db", "logs/checks.db", "keys/master.key", "x"])
def test_a_folder_with_anything_of_a_store_in_it_is_not_empty(
    lines: list[bytes], tmp_path: Path, left: str
) -> None:
    path = tmp_path / "data" / left
    path.parent.mkdir(parents=True)
    path.write_text("left over")

    with pytest.raises(StoreError, match="is not empty"):
        imported(lines, tmp_path / "data")

    assert [each for each in (tmp_path / "data").rglob("*") if each.is_file()] == [path]


def test_what_a_killed_import_left_is_thrown_away_by_the_next(
    rich: tuple[Path, Rich], lines: list[bytes], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    (data / INCOMING / "logs").mkdir(parents=True)
    (data / INCOMING / "logs" / "monitoring.db").write_text("to be moved")
    (data / INCOMING / ".moving").touch()
    (data / "keys").mkdir()
    (data / "keys" / "keys.db").write_text("moved in, and then it was killed")

    imported(lines, data)

    assert rows(DataFolder(data)) == rows(DataFolder(rich[0]))
    assert not (data / INCOMING).exists()


def test_a_store_that_was_made_after_a_killed_import_is_left_alone(
    lines: list[bytes], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    create_store(data, KEY).close()
    (data / INCOMING / "logs").mkdir(parents=True)
    (data / INCOMING / ".moving").touch()

    with pytest.raises(StoreError, match="is not empty"):
        imported(lines, data)

    open_store(data, KEY).close()


def test_two_do_not_fill_one_folder(tmp_path: Path) -> None:
    with (
        filled(tmp_path / "data", ["logs"]),
        pytest.raises(StoreError, match="another process is filling"),
        filled(tmp_path / "data", ["logs"]),
    ):
        pytest.fail("both are in")


def test_what_one_moves_in_is_not_undone_by_another(tmp_path: Path) -> None:
    root = tmp_path / "data"
    with filled(root, STORE_PARTS) as incoming:
        (incoming / ".moving").touch()
        (root / "keys").mkdir()
        (root / "keys" / "keys.db").write_text("moved in just now")

        with pytest.raises(StoreError, match="another process is filling"):
            refuse_unless_empty(root)

        assert (root / "keys" / "keys.db").exists()
        shutil.rmtree(root / "keys")


def test_a_folder_that_cannot_be_written_is_a_store_error(
    lines: list[bytes], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "data"):
        with pytest.raises(StoreError):
            imported(lines, root)


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


def test_an_export_made_while_others_write_lacks_no_key(tmp_path: Path) -> None:
    root = tmp_path / "data"
    config = {"auth": {"user": "u", "pass": SECRET}}
    stop = threading.Event()
    with create_store(root, KEY) as store:
        owners = make_owners(store)

        def write(_: int) -> int:
            made = 0
            while not stop.is_set():
                created = store.monitoring.create_monitor(owners.create(config=config), TESTER)
                made += 1
                if made % 2:
                    store.monitoring.delete_monitor(created.id, TESTER)
            return made

        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(write, number) for number in range(2)]
            try:
                exports = [exported(root, KEY) for _ in range(10)]
            finally:
                stop.set()
            assert sum(writer.result(60) for writer in writers) > 10
    for export in exports:
        found = [orjson.loads(line) for line in export]
        events = [each for each in found if each.get("log") == "monitoring"]
        deleted = {each["stream"] for each in events if each["topic"] == "MonitorDeleted"}
        created = {each["stream"] for each in events if each["topic"] == "MonitorCreated"}
        keys = {each["key"] for each in found if "key" in each} - {DIGEST_KEY}
        assert created - deleted <= keys
