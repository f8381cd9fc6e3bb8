"""An installation moves from files to PostgreSQL, and back, as docs/postgresql.md says."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from domain.commands import IssueToken
from store.archiving import Archiver
from store.ports.engine import LOGS, Database
from store.proving import log_proof, verify
from tests.domain.given import TESTER, make_owners
from tests.domain.realistic import Fleet, record
from tests.mailservers.processes import free_ports
from tests.places import Place
from tests.postgres_server import find_binaries, postgres_server
from tests.store.rich_store import SECRET, Rich, fill, shown
from tests.system.parts import Part, stopping
from tests.system.service import CLEAN
from tests.system.test_documents import blocks_of
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.postgres_server import PostgresServer


pytestmark = [
    pytest.mark.thorough,
    pytest.mark.system,
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server"),
]

TOKEN = "wsm_moving-admin-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
CHECKS = 400
PATHS = (
    "/api/organization",
    "/api/customers",
    "/api/customers/1",
    "/api/organization/tokens",
    "/api/monitoring-locations",
    "/api/smtp-monitors",
    "/api/smtp-monitors?asOf=12",
    "/api/imap-pop-monitors",
    "/api/smtp-monitors/{kept}",
    "/api/smtp-monitors/{kept}?asOf=8",
    "/api/smtp-monitors/{kept}/history",
    "/api/smtp-monitors/{kept}/check-history",
    "/api/smtp-monitors/{kept}/check-history?limit=100",
    "/api/smtp-monitors/{kept}/uptime?range=month&endDate=2026-05-20T00:00:00Z",
    "/api/smtp-monitors/{deleted}",
    "/api/smtp-monitors/{deleted}/history",
    "/api/events?limit=100",
    "/api/events?after=9&limit=5",
)
"""Everything that is shown, but for what each start makes anew: heads, ids of requests."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the store is when every example of the document was followed."""

    files: Place
    database: Place
    restored: Place
    back: Place
    made: Rich
    answers: dict[str, tuple[int, bytes]]
    answers_of_database: dict[str, tuple[int, bytes]]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of its own: it is copied as a whole."""
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="module")
def moved(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Moved:
    """A store with something of everything, shown by the API, and then moved."""
    folder = tmp_path_factory.mktemp("moving")
    places = [
        Place(folder / "data"),
        Place(folder / "data", Database(server.create_database("moved"))),
        Place(folder / "data", Database(server.create_database("restored"))),
        Place(folder / "back"),
    ]
    made = prepare(places[0])
    answers = answers_of(places[0], made, folder / "files")
    follow_the_document(folder, places)
    # Before any test writes: they come in any order.
    there = answers_of(places[1], made, folder / "database")
    return Moved(places[0], places[1], places[2], places[3], made, answers, there)


def prepare(place: Place) -> Rich:
    """Make a store of which a part is archived."""
    made = fill(place)
    with place.open() as store:
        kept: Any = store.monitoring.repository.get(made.kept)
        admin = IssueToken(UUID(kept.organization_id), None, "Admin", "admin", TOKEN)
        token = store.monitoring.issue_token(admin, TESTER)
        # No request changes what the next one sees: a use within the hour is not recorded.
        store.monitoring.use_token(token.id, TESTER)
        record(store, Fleet([made.kept], interval_seconds=60).checks(CHECKS))
        shown(store)
        Archiver(store, TESTER, most_events=128).run(timedelta(days=30), through=300)
    return made


def follow_the_document(folder: Path, places: Sequence[Place]) -> None:
    """Run every example of docs/postgresql.md."""
    binaries, urls = find_binaries(), [each.database.url for each in places if each.database]
    assert binaries is not None
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(blocks_of("docs/postgresql.md"))],
        cwd=folder,
        env={
            **CLEAN,
            **places[0].environment,
            "DATABASE_URL": urls[0],
            "RESTORED_URL": urls[1],
            "PATH": f"{Path(sys.executable).parent}:{binaries}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "base" / "backup_manifest").exists()


def answers_of(place: Place, made: Rich, logs: Path) -> dict[str, tuple[int, bytes]]:
    """Return what real processes of the API answer, when the views have caught up."""
    port = free_ports(1)[0]
    env = {**place.environment, "POSTWATCH_BIND": f"127.0.0.1:{port}"}
    parts = [
        Part(command.split(), env, logs.with_suffix(f".{command[:3]}.log"))
        for command in ("projections run", "api")
    ]
    with stopping(parts):
        parts[0].start()
        parts[1].start("api: listening on")
        wait_until(lambda: is_ready(port), seconds=30, what="the views")
        return {
            path: get(port, path.format(kept=made.kept, deleted=made.deleted)) for path in PATHS
        }


def is_ready(port: int) -> bool:
    """Return whether a worker answers, and the views have caught up."""
    try:
        return get(port, "/readyz")[0] == 200
    except OSError:
        return False


def get(port: int, path: str) -> tuple[int, bytes]:
    """Return the status and the very bytes of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(connection):
        headers = {"Authorization": f"Bearer {TOKEN}", "X-Request-Id": "the-same-always"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_the_api_answers_the_same_to_the_byte(moved: Moved) -> None:
    answers = moved.answers_of_database

    assert answers == moved.answers
    found = [status for status, _ in answers.values()]
    assert found.count(200) >= len(PATHS) - 2, dict(zip(PATHS, found, strict=True))
    assert all(len(body) > len("[]") for _, body in answers.values())


@pytest.mark.parametrize("name", ["database", "restored", "back"])
def test_all_is_as_it_was_and_goes_on_behind_what_was_given(moved: Moved, name: str) -> None:
    place: Place = getattr(moved, name)

    _assert_as_it_was(moved, place)
    _assert_it_goes_on(moved, place)


def _assert_as_it_was(moved: Moved, place: Place) -> None:
    """Every position, every row of every view, the archive, and the keys."""
    with moved.files.open() as one, place.open() as two:
        assert [each.last for each in two.archive.segments()] == [
            each.last for each in one.archive.segments()
        ]
        assert len(two.archive.segments()) == 3
        last = one.reader("monitoring").last_given()
        for log in LOGS:
            assert two.rows(log).after(0, 10_000) == one.rows(log).after(0, 10_000)
            assert two.rows(log).last_given() == one.rows(log).last_given()
        assert shown(two) == shown(one)
        assert two.keys.signing_seed() == one.keys.signing_seed()
        assert sorted(two.keys.store.owners()) == sorted(one.keys.store.owners())
    assert last > 20


def _assert_it_goes_on(moved: Moved, place: Place) -> None:
    with place.open() as store:
        before = {log: store.reader(log).last_given() for log in LOGS}
        monitoring = store.monitoring
        kept: Any = monitoring.repository.get(moved.made.kept)
        opened = monitoring.unsealed(kept.id, "smtp", kept.config)
        assert opened["auth"]["pass"] == SECRET

        owners = make_owners(store)
        record(store, Fleet([moved.made.kept], seed=7).checks(1))

        assert owners.organization.number == 3
        assert [
            each.position for each in store.reader("monitoring").after(before["monitoring"], 9)
        ] == [before["monitoring"] + number for number in (1, 2, 3, 4)]
        assert store.reader("checks").head() == before["checks"] + 1
        for log in LOGS:
            proof = log_proof(store, log)
            proof.grow()
            assert verify(proof).ok
