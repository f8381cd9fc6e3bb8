"""Recorded changes are acknowledged, also when the view has no disk space to follow."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import sql

from projections.storage.postgres_view import PostgresView
from tests.api.world import PATHS, SMTP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from projections.core.table import View
    from tests.api.world import World


_FULL = """
CREATE FUNCTION postwatch_views.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON postwatch_views.sides FOR EACH ROW
WHEN (NEW.view = {view}) EXECUTE FUNCTION postwatch_views.refuse();
"""


@contextmanager
def no_room_for(view: View) -> Iterator[None]:
    """Let a view take nothing, as on a full disk."""
    with _full_database(view) if isinstance(view, PostgresView) else _full_file(view):
        yield


@contextmanager
def _full_database(view: PostgresView) -> Iterator[None]:
    """Let whatever is written end as a server ends it that has no room."""
    with view._connections.get() as connection:
        connection.execute(sql.SQL(_FULL).format(view=view.name))
    try:
        yield
    finally:
        with view._connections.get() as connection:
            connection.execute("DROP FUNCTION postwatch_views.refuse CASCADE")


@contextmanager
def _full_file(view: View) -> Iterator[None]:
    """Let the file of a view grow by no page."""
    connection = view._connections.get()  # type: ignore[attr-defined] # the view is the SQLite one
    connection.execute("CREATE TABLE ballast (x)")
    connection.execute("INSERT INTO ballast VALUES (zeroblob(40000))")
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connections = view._connections  # type: ignore[attr-defined] # as above
    connect, opened = connections._connect, [each.connection for each in connections._opened]

    def connect_full() -> sqlite3.Connection:
        made: sqlite3.Connection = connect()
        made.execute(f"PRAGMA max_page_count = {pages}")
        opened.append(made)
        return made

    connections._connect = connect_full
    for each in opened:
        each.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        connections._connect = connect
        for each in opened:
            each.execute("PRAGMA max_page_count = 1073741823")
        connection.execute("DROP TABLE ballast")


def test_commands_are_acknowledged_while_the_view_has_no_room(
    fresh_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world, admin = fresh_world, fresh_world.admin
    projector = world.views.projector("monitors")
    long = "x" * 200
    monitor = admin.post(PATHS["smtp"], world.body("smtp")).headers["location"]
    customer = admin.post("/api/customers", {"name": "C", "email": "c@example.com"})
    customer_path = customer.headers["location"]

    with no_room_for(projector.view):
        made = [
            admin.post(PATHS["smtp"], world.body("smtp", name=f"{number} {long}"))
            for number in range(60)
        ]
        assert {each.status_code for each in made} == {201}
        assert projector.lag() > 0
        changed = admin.patch(monitor, {"name": "Changed"})
        renamed = admin.patch(customer_path, {"name": "Renamed"})
        token = admin.post("/api/organization/tokens", {"name": "T", "role": "readonly"})
        assert (changed.status_code, changed.json["name"]) == (200, "Changed")
        assert changed.headers["etag"] == '"v2"'
        assert (renamed.status_code, renamed.json["name"]) == (200, "Renamed")
        assert token.status_code == 201
        assert admin.get(monitor).json["name"] != "Changed", "reads are behind, and go on"
        assert admin.delete(monitor).status_code == 200
        newest = made[-1].headers["location"]
        assert admin.get(newest).status_code == 503, "not shown yet, and nobody can say 404"
        assert admin.patch(newest, {"name": "X"}).status_code == 503
        unknown = "/api/customers/33333333-3333-4333-8333-333333333333"
        assert admin.patch(unknown, {"name": "X"}).status_code == 503
    assert "view monitors cannot follow its log now: disk full" in caplog.messages

    assert admin.patch(customer_path, {"email": "d@example.com"}).status_code == 200
    assert projector.lag() == 0
    assert admin.get(monitor).status_code == 404
    assert admin.get(customer_path).json["name"] == "Renamed"
    assert admin.get(PATHS["smtp"]).json["total"] == 60


def test_a_change_is_acknowledged_although_its_password_cannot_be_read(
    fresh_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As when a full disk keeps the file of keys from being rolled back: it cannot be read then.
    config = {"auth": {"user": "u", "pass": "secret"}}
    monitoring, keys = fresh_world.store.monitoring, fresh_world.store.keys.store
    made = fresh_world.admin.post(SMTP, fresh_world.body(smtpConfig=config)).json
    path = f"{SMTP}/{made['publicId']}"

    def cannot_be_read(_: str) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    def and_then(record: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - passed through
            found = record(*arguments, **named)
            monkeypatch.setattr(keys, "get", cannot_be_read)
            return found

        return recorded

    get = keys.get
    monkeypatch.setattr(monitoring, "update_monitor", and_then(monitoring.update_monitor))
    changed = fresh_world.admin.patch(path, {"name": "New"})
    monkeypatch.setattr(keys, "get", get)
    monkeypatch.setattr(monitoring, "create_monitor", and_then(monitoring.create_monitor))
    created = fresh_world.admin.post(SMTP, fresh_world.body(smtpConfig=config))

    assert (changed.status_code, changed.json["name"]) == (200, "New")
    assert created.status_code == 201
    # No answer needs the stored password: a POST shows the one that it got.
    for answer, shown in ((changed, "********"), (created, "secret")):
        assert answer.json["smtpConfig"]["auth"] == {"user": "u", "pass": shown}
