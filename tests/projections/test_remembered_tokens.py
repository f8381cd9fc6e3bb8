"""Tokens that a reader remembers: never past the next commit to the view."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

from domain.commands import IssueToken
from projections.catalog import Views
from projections.storage.sqlite_readers import SqliteMonitors
from projections.views.monitors import TOKENS
from tests.domain.given import TESTER
from tests.places import on_sqlite

if TYPE_CHECKING:
    from domain.access_token import AccessToken
    from store.store import Store
    from tests.domain.given import Owners
    from tests.places import Place


THREADS = 4
TOKEN = f"wsm_{'k' * 40}"


def issue(store: Store, owners: Owners, views: Views, token: str = TOKEN) -> AccessToken:
    command = IssueToken(owners.organization.id, None, "Known", "user", token)
    issued = store.monitoring.issue_token(command, TESTER)
    views.projector("monitors").catch_up()
    return issued


@on_sqlite
def test_a_remembered_token_is_not_read_again_until_a_commit(
    store: Store, owners: Owners, views: Views
) -> None:
    issued = issue(store, owners, views)
    known = views.reader.token(issued.token_hash)

    assert known is not None
    assert views.reader.token(issued.token_hash) is known

    store.monitoring.use_token(issued.id, TESTER)
    views.projector("monitors").catch_up()

    again = views.reader.token(issued.token_hash)
    assert again is not None
    assert again["last_used_at"] is not None


def test_every_thread_sees_at_once_what_another_process_did_to_a_known_token(
    place: Place, store: Store, owners: Owners, views: Views
) -> None:
    issued = issue(store, owners, views)
    together = Barrier(THREADS + 1)

    def look(_: int) -> tuple[object, object]:
        before = views.reader.token(issued.token_hash)
        together.wait(30)
        together.wait(30)
        after = views.reader.token(issued.token_hash)
        assert before is not None
        assert after is not None
        return before["revoked_at"], after["revoked_at"]

    with ThreadPoolExecutor(THREADS) as pool:
        seen = [pool.submit(look, each) for each in range(THREADS)]
        together.wait(30)
        with place.open() as other, Views(other) as their_views:
            other.monitoring.revoke_token(issued.id, TESTER)
            their_views.projector("monitors").catch_up()
        together.wait(30)
        looked = [each.result(30) for each in seen]

    assert {before for before, _ in looked} == {None}
    assert None not in {after for _, after in looked}


def test_a_known_token_is_forgotten_when_a_rebuilt_view_takes_the_place(
    store: Store, owners: Owners, views: Views
) -> None:
    issued = issue(store, owners, views)
    projector = views.projector("monitors")
    with projector.view.transaction() as transaction:
        transaction.put(TOKENS, str(issued.id), None)
    assert views.reader.token(issued.token_hash) is None

    projector.rebuild()

    assert views.reader.token(issued.token_hash) is not None


@on_sqlite
def test_a_closed_reader_knows_nothing_from_before(
    store: Store, owners: Owners, views: Views
) -> None:
    issued = issue(store, owners, views)
    known = views.reader.token(issued.token_hash)
    views.reader.close()

    again = views.reader.token(issued.token_hash)

    assert again == known
    assert again is not known


@on_sqlite
def test_more_tokens_than_are_remembered_are_read_each_time(
    store: Store, owners: Owners, views: Views
) -> None:
    assert isinstance(views.reader, SqliteMonitors)
    views.reader.remembered_tokens = 1
    first, second = (issue(store, owners, views, f"wsm_{each * 40}") for each in "ab")

    assert views.reader.token(first.token_hash) is views.reader.token(first.token_hash)
    found = views.reader.token(second.token_hash)
    assert found is not None
    assert found["name"] == "Known"
    assert views.reader.token(second.token_hash) is not found
