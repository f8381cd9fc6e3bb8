"""No secret is in clear in any file of the data folder, nor in a `repr`."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
import pytest
from psycopg import sql

from domain.commands import IssueToken, UpdateMonitor
from domain.errors import DomainError
from store.log_reader import LogReader
from store.ports.engine import Database
from store.sqlite import keys
from tests.domain.given import CREATE_IMAP, TESTER, make_owners
from tests.places import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from domain.monitor import Monitor
    from projections.catalog import Views
    from store.store import Store
    from tests.domain.given import Owners


FIRST = "canary-first-0f4a"
SECOND = "canary-zweites-ü-77b1"
THIRD = "canary-third-c9d2"
TOKEN = "wsm_canary-token-5e6f-aaaaaaaaaaaaaaaaaaaaaaa"
CANARIES = (FIRST, SECOND, THIRD, TOKEN)


def forms(secret: str) -> Iterator[bytes]:
    """Yield the forms in which an unsealed secret could be in a file."""
    plain = secret.encode()
    yield plain
    yield plain.hex().encode()
    yield secret.encode("utf-16-le")
    yield orjson.dumps(secret)[1:-1]
    for shift in range(3):
        yield b64encode(bytes(shift) + plain)[4:-4]


def leaks(place: Place) -> list[str]:
    """Return the places where a store has a secret in clear."""
    kept = dict(contents_of(place.root))
    if place.database is None:
        assert any(name.endswith("-wal") for name in kept), "the write-ahead log is looked at"
    else:
        kept.update(tables_of(place.database.url))
        assert len(kept["monitoring_events"]) > 1000
    return [
        f"{name}: {secret}"
        for name, content in kept.items()
        for secret in CANARIES
        if any(form in content for form in forms(secret))
    ]


def contents_of(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file of a folder."""
    for path in root.rglob("*"):
        if path.is_file():
            yield path.name, path.read_bytes()


def tables_of(url: str) -> Iterator[tuple[str, bytes]]:
    """Yield every table of a database, with the bytes of all its columns as they are."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'postwatch%'"
        ).fetchall()
        for names in tables:
            copy = sql.SQL("COPY {} TO STDOUT (FORMAT BINARY)").format(sql.Identifier(*names))
            with connection.cursor() as cursor, cursor.copy(copy) as copied:
                yield names[1], b"".join(copied)


@pytest.fixture
def monitors(store: Store, owners: Owners) -> list[Monitor]:
    """A monitor of each kind with a secret, one changed, and a token."""
    smtp = store.monitoring.create_monitor(
        owners.create(config={"auth": {"user": "u", "pass": FIRST}}), TESTER
    )
    imap = store.monitoring.create_monitor(
        owners.create(CREATE_IMAP, config={"user": "u", "password": SECOND}), TESTER
    )
    changes = {"config": {"auth": {"user": "u", "pass": THIRD}}}
    changed = store.monitoring.update_monitor(UpdateMonitor(smtp.id, changes), TESTER)
    store.monitoring.issue_token(
        IssueToken(owners.organization.id, None, "Token", "user", TOKEN), TESTER
    )
    return [smtp, imap, changed]


def test_no_file_holds_a_secret_while_the_store_is_open(
    store: Store, place: Place, views: Views, monitors: list[Monitor]
) -> None:
    for projector in views.projectors.values():
        projector.catch_up()
        projector.rebuild(lambda *_: None)

    assert leaks(place) == []
    store.monitoring.delete_monitor(monitors[0].id, TESTER)
    assert leaks(place) == []


def test_the_search_would_find_a_secret_in_any_form(tmp_path: Path) -> None:
    (tmp_path / "x-wal").write_bytes(b"....")
    for number, form in enumerate(forms(FIRST)):
        (tmp_path / f"file{number}").write_bytes(b"before" + form + b"after")

    assert len(leaks(Place(tmp_path))) == 7


def test_no_repr_of_a_command_an_event_or_a_monitor_holds_a_secret(
    store: Store, owners: Owners, monitors: list[Monitor]
) -> None:
    create = owners.create(config={"auth": {"user": "u", "pass": FIRST}})
    things: list[Any] = [
        create,
        UpdateMonitor(monitors[0].id, {"config": {"auth": {"pass": THIRD}}}),
        IssueToken(owners.organization.id, None, "Token", "user", TOKEN),
        *monitors,
        *(vars(each) for each in monitors),
        *LogReader(store.monitoring).after(0, 100),
        *store.monitoring.recorder.select_notifications(start=None, limit=100),
        store,
        store.monitoring,
        store.keys,
        store.keys.store,
    ]

    text = "\n".join(f"{each!r} {each!s}" for each in things)

    assert [secret for secret in CANARIES if secret in text] == []
    master_key = store.folder.master_key.read_text().strip()
    assert master_key not in text
    assert repr(store.keys._master_key) not in text


def test_no_refusal_holds_a_secret(store: Store, owners: Owners) -> None:
    wrong: list[dict[str, Any]] = [
        {"password": FIRST},
        {"user": FIRST},
        {"user": FIRST, "password": "********"},
    ]
    monitor = store.monitoring.create_monitor(owners.create(CREATE_IMAP), TESTER)
    for config in wrong:
        update = UpdateMonitor(monitor.id, {"config": config})
        with pytest.raises(DomainError) as refusal:
            store.monitoring.update_monitor(update, TESTER)
        assert FIRST not in f"{refusal.value!r} {refusal.value}"
        assert FIRST not in repr(refusal.value.__dict__)


@pytest.fixture
def impatient(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store that waits for keys a moment only."""
    monkeypatch.setattr(keys, "LOCK_TIMEOUT_SECONDS", 0.05)
    if place.database is not None:
        url = f"{place.database.url}?options=-c%20lock_timeout%3D300ms"
        place = Place(place.root, Database(url))
    with place.create() as opened:
        yield opened


def test_a_deletion_is_acknowledged_while_the_keys_take_nothing(
    impatient: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store, owners = impatient, make_owners(impatient)
    config = {"auth": {"user": "u", "pass": "p"}}
    first, second = (
        store.monitoring.create_monitor(owners.create(config=config), TESTER) for _ in range(2)
    )
    with store.keys.store.table():
        store.monitoring.delete_monitor(first.id, TESTER)
    assert str(first.id) in store.keys.store.owners()
    assert f"the data key of the deleted monitor {first.id} is not destroyed yet" in caplog.text

    store.monitoring.delete_monitor(second.id, TESTER)

    assert not {str(first.id), str(second.id)} & set(store.keys.store.owners())
