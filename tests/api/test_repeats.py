"""`Idempotency-Key`, `ETag` and `If-Match`: writes that may be sent again, or only once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from threading import Barrier
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from domain.commands import UpdateMonitor
from domain.idempotency import RequestAnswered
from domain.monitor import Monitor
from store.files import file_locks
from tests.api.world import JSON, PATHS, SMTP, Caller, another_worker, path_of
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from falcon.testing import Result

    from tests.api.world import World


CUSTOMERS = "/api/customers"
CANARY = "canary-8f3b-secret"


def send(caller: Caller, path: str, body: object, key: str) -> Result:
    return caller.send("POST", path, json.dumps(body), {**JSON, "Idempotency-Key": key})


def change(caller: Caller, path: str, body: object, match: str) -> Result:
    return caller.send("PATCH", path, json.dumps(body), {**JSON, "If-Match": match})


def same(first: Result, again: Result) -> bool:
    names = ("location", "etag", "content-type")
    return (
        (first.status_code, first.content) == (again.status_code, again.content)
        and [first.headers.get(each) for each in names]
        == [again.headers.get(each) for each in names]
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["smtp", "imap_pop"])
def test_a_repeated_create_gives_the_first_answer_byte_by_byte(world: World, kind: str) -> None:
    login = {"auth": {"user": "robot", "pass": CANARY}}
    config = login if kind == "smtp" else {"user": "robot", "password": CANARY}
    body = world.body(kind, config=config)
    first = send(world.admin, PATHS[kind], body, "key-1")
    total = world.admin.get(PATHS[kind]).json["total"]

    again = send(world.admin, PATHS[kind], body, "key-1")
    world.admin.patch(first.headers["location"], {"name": "Other", "status": "disabled"})
    later = send(world.admin, PATHS[kind], body, "key-1")
    with another_worker(world) as restarted:
        after = send(restarted.admin, PATHS[kind], body, "key-1")

    assert first.status_code == 201
    assert CANARY in first.text, "the echo of what was written"
    assert same(first, again)
    assert same(first, later), "also after a change"
    assert same(first, after), "also after a start with the same store"
    assert world.admin.get(PATHS[kind]).json["total"] == total


def test_a_repeated_create_of_a_customer_gives_the_first_answer(world: World) -> None:
    body = {"name": "Once", "customFields": {"a": 1}}
    first = send(world.admin, CUSTOMERS, body, "key-2")
    world.admin.patch(
        first.headers["location"], {"name": "Other", "alertLocationThresholdCount": 9}
    )

    assert first.status_code == 201
    assert same(first, send(world.admin, CUSTOMERS, body, "key-2"))


def test_two_workers_asked_at_the_same_moment_make_one_monitor(world: World) -> None:
    with another_worker(world) as other:
        for number in range(5):
            apps = (world, other, world, other)
            barrier = Barrier(len(apps))

            def ask(
                worker: World, barrier: Barrier = barrier, key: str = f"moment-{number}"
            ) -> Result:
                barrier.wait(20)
                return send(worker.admin, SMTP, worker.body(), key)

            with ThreadPoolExecutor(len(apps)) as pool:
                answers = list(pool.map(ask, apps))

            assert {each.status_code for each in answers} == {201}
            assert len({each.content for each in answers}) == 1
            assert len({each.headers["location"] for each in answers}) == 1


@pytest.mark.parametrize("path", [SMTP, CUSTOMERS])
def test_another_request_under_the_same_key_is_409(world: World, path: str) -> None:
    body = world.body() if path == SMTP else {"name": "Name"}
    first = send(world.admin, path, body, "key-3")

    other = send(world.admin, path, {**body, "name": "Another"}, "key-3")

    assert (first.status_code, other.status_code) == (201, 409)
    assert "Idempotency-Key" in other.json["message"]


def test_a_key_counts_for_one_token_and_one_sort_of_thing(world: World) -> None:
    made = {
        send(world.caller(persona), path, world.body(kind), "key-4").headers["location"]
        for persona in ("admin", "user")
        for kind, path in PATHS.items()
    }

    assert len(made) == 4


def test_a_refused_request_uses_up_no_key(world: World) -> None:
    assert send(world.admin, SMTP, {}, "key-5").status_code == 400
    assert send(world.admin, SMTP, world.body(), "key-5").status_code == 201


@pytest.mark.parametrize("key", ["", "with blank", "x" * 256, "é", "tab\there"])
@pytest.mark.parametrize("path", [SMTP, CUSTOMERS, "/api/organization/tokens"])
def test_a_malformed_key_is_400_and_makes_nothing(world: World, path: str, key: str) -> None:
    head = world.store.monitoring.recorder.max_notification_id()
    body = world.body() if path == SMTP else {"name": "Name"}

    answer = send(world.admin, path, body, key)

    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json["message"]
    assert world.store.monitoring.recorder.max_notification_id() == head


def test_what_is_kept_of_a_request_is_a_keyed_digest(fresh_world: World) -> None:
    body = fresh_world.body(config={"auth": {"user": "robot", "pass": CANARY}})
    send(fresh_world.admin, SMTP, body, "key-6")
    recorder = fresh_world.store.monitoring.recorder
    sent = json.dumps(body).encode()

    states = [each.state for each in recorder.select_notifications(start=1, limit=1000)]

    (kept,) = [each for each in states if b'"made_id"' in each]
    digest = json.loads(kept)["digest"]
    assert digest == fresh_world.store.monitoring.idempotency_key("s", "k", sent).digest
    assert sha256(sent).hexdigest() not in digest
    assert CANARY.encode() not in b"".join(states)
    assert RequestAnswered.TOPIC == "RequestAnswered"


def test_the_same_request_has_another_digest_in_another_store(
    world: World, fresh_world: World
) -> None:
    digests = {
        each.store.monitoring.idempotency_key("scope", "key", b"{}").digest
        for each in (world, fresh_world)
    }

    assert len(digests) == 2


def test_the_tag_names_the_version_of_the_configuration(world: World) -> None:
    made = world.admin.post(SMTP, world.body())
    path = made.headers["location"]
    tag = made.headers["etag"]
    assert world.admin.get(path).headers["etag"] == tag

    unchanged = world.admin.patch(path, {"name": made.json["name"]})
    changed = world.admin.patch(path, {"name": "Other"})

    assert unchanged.headers["etag"] == tag
    assert changed.headers["etag"] != tag
    assert world.admin.get(path).headers["etag"] == changed.headers["etag"]


def test_a_change_to_an_older_version_is_412_and_changes_nothing(world: World) -> None:
    path = path_of(world.monitor())
    tag = world.admin.get(path).headers["etag"]
    assert change(world.admin, path, {"name": "First"}, tag).status_code == 200

    late = change(world.admin, path, {"name": "Second"}, tag)
    unread = world.admin.send("DELETE", path, "", {"If-Match": tag})

    assert (late.status_code, unread.status_code) == (412, 412)
    assert late.json["statusMessage"] == "Precondition Failed"
    assert world.admin.get(path).json["name"] == "First"
    new = world.admin.get(path).headers["etag"]
    assert world.admin.send("DELETE", path, "", {"If-Match": new}).status_code == 200


@pytest.mark.parametrize("match", ["*", " * "])
def test_a_star_means_any_version(world: World, match: str) -> None:
    path = path_of(world.monitor())

    assert change(world.admin, path, {"name": "First"}, match).status_code == 200
    assert change(world.admin, path, {"name": "Second"}, match).status_code == 200


@pytest.mark.parametrize("match", ['"v1"', '"stale", "v1"', '"v1" ,W/"v9",'])
def test_a_list_of_tags_means_each_of_them(world: World, match: str) -> None:
    path = path_of(world.monitor())

    assert change(world.admin, path, {"name": "Other"}, match).status_code == 200


@pytest.mark.parametrize(
    "match",
    ['"stale"', '""', '"1"', '"v"', 'W/"v1"', '"v2", W/"v1"', '"v-1"', '"v' + "1" * 16 + '"'],
)
def test_a_tag_that_is_not_the_current_one_is_412(world: World, match: str) -> None:
    path = path_of(world.monitor())

    answer = change(world.admin, path, {"name": "Other"}, match)
    gone = world.admin.send("DELETE", path, "", {"If-Match": match})

    assert (answer.status_code, gone.status_code) == (412, 412)
    assert len(world.history(path.rpartition("/")[2])) == 1


@pytest.mark.parametrize("match", ["v1", '"v1', 'w/"v1"', '"v1" "v2"', '"a b"', "*, *", ","])
def test_what_is_no_entity_tag_is_400(world: World, match: str) -> None:
    path = path_of(world.monitor())

    answer = change(world.admin, path, {"name": "Other"}, match)

    assert answer.status_code == 400
    assert "If-Match" in answer.json["message"]
    assert len(world.history(path.rpartition("/")[2])) == 1


def test_without_a_tag_a_lost_race_is_run_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = world.monitor()
    monitoring = world.store.monitoring
    save, rivals = monitoring.save, iter(["rival 1", "rival 2"])

    def outrun(*things: Any) -> Sequence[Any]:  # noqa: ANN401 - what the application saves
        """Let a rival on another worker come first, twice."""
        name = next(rivals, None)
        if name is not None:
            other.store.monitoring.update_monitor(UpdateMonitor(monitor.id, {"name": name}), TESTER)
        return save(*things)

    # The rivals come in the turn of the one that they outrun, who would wait for them.
    monkeypatch.setattr(file_locks, "LONGEST_WAIT_SECONDS", 0.01)
    with another_worker(world) as other:
        monkeypatch.setattr(monitoring, "save", outrun)
        answer = world.admin.patch(path_of(monitor), {"port": 2525})

    assert answer.status_code == 200
    assert (answer.json["name"], answer.json["port"]) == ("rival 2", 2525)
    changes = [each.changes for each in world.history(str(monitor.id))[1:]]
    assert changes == [{"name": "rival 1"}, {"name": "rival 2"}, {"port": 2525}]


def test_with_a_tag_a_lost_race_is_412(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = world.monitor()
    path = path_of(monitor)
    tag = world.admin.get(path).headers["etag"]
    monitoring = world.store.monitoring
    save, rivals = monitoring.save, iter(["rival"])

    def outrun(*things: Any) -> Sequence[Any]:  # noqa: ANN401 - what the application saves
        name = next(rivals, None)
        if name is not None:
            other.store.monitoring.update_monitor(UpdateMonitor(monitor.id, {"name": name}), TESTER)
        return save(*things)

    # The rival comes in the turn of the one that it outruns, which would wait for it.
    monkeypatch.setattr(file_locks, "LONGEST_WAIT_SECONDS", 0.01)
    with another_worker(world) as other:
        monkeypatch.setattr(monitoring, "save", outrun)
        answer = change(world.admin, path, {"port": 2525}, tag)

    assert answer.status_code == 412
    events = world.history(str(monitor.id))
    assert [type(each) for each in events] == [Monitor.Created, Monitor.Updated]
    assert monitor.id == UUID(path.rpartition("/")[2])
