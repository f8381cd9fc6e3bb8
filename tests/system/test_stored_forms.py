"""Stores that earlier versions made are opened, shown, proven, moved, and go on.

Each folder of tests/fixtures/stores is one of them; the README there says how it was made.
"""

from __future__ import annotations

import json
import lzma
import tarfile
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
import psycopg
import pytest
from click.testing import CliRunner

from api.app import create_app
from cli.main import main
from projections.catalog import PROJECTIONS, Views
from store.files.data_folder import DataFolder
from store.keys.master_keys import write_key_file
from store.keys.sealing import format_master_key, new_key
from store.ports.engine import LOGS
from store.postgres.engine import PostgresEngine
from tests.domain.given import TESTER, check_of
from tests.fixtures.stores.facts import QUESTION, answers_of, facts_of, written_forms
from tests.fixtures.stores.story import MASTER_KEY, REPEATED, Api
from tests.places import Place
from tests.postgres_server import find_binaries
from tests.system.service import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from store.store import Store
    from tests.places import Databases


FIXTURES: Final = sorted(each.parent for each in ROOT.glob("tests/fixtures/stores/*/files.json"))
KEY: Final = {"POSTWATCH_MASTER_KEY": format_master_key(MASTER_KEY)}

ADDED: Final = frozenset({"state", "stateSince", "lastError", "openIncidentId"})
"""Fields that answers have today, and did not have when a fixture was made (CHANGELOG.md)."""

LOCATION: Final = "de-nbg"
_ALL: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A store of a fixture, unpacked, and what is known of it."""

    folder: Path
    place: Place
    facts: dict[str, Any]

    @property
    def answers(self) -> dict[str, tuple[int, str]]:
        """What its API answered: status and body by path."""
        name = "files" if self.place.database is None else "database"
        found = json.loads(lzma.decompress((self.folder / f"{name}.answers.json.xz").read_bytes()))
        return {path: (status, body) for path, (status, body) in found.items()}


def of_each(*forms: str) -> pytest.MarkDecorator:
    """Run a test on these forms of every fixture."""
    no_server = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")
    parameters = [
        pytest.param(
            (folder, form),
            id=f"{folder.name}-{form}",
            marks=[no_server] if form == "database" else [],
        )
        for folder in FIXTURES
        for form in forms
    ]
    return pytest.mark.parametrize("kept", parameters, indirect=True)


each_store = of_each("files", "database")
each_with_views = of_each("files", "files with views", "database")
of_each_fixture = pytest.mark.parametrize("folder", FIXTURES, ids=lambda each: each.name)


@pytest.fixture
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    """A store as it was left."""
    folder, form = request.param
    place = Place(tmp_path / "kept")
    if form == "database":
        made: Databases = request.getfixturevalue("postgres")
        with made.empty() as database:
            dump = lzma.decompress((folder / "database.sql.xz").read_bytes())
            with psycopg.connect(database.url, autocommit=True) as connection:
                connection.execute(dump)
            with closing(PostgresEngine(database)) as engine:
                engine.migrate()
            put_master_key(place)
            facts = json.loads((folder / "database.json").read_bytes())
            yield Kept(folder, Place(place.root, database), facts)
        return
    for name in ("files", "views") if form == "files with views" else ("files",):
        with tarfile.open(folder / f"{name}.tar.xz") as packed:
            packed.extractall(place.root, filter="data")
    yield Kept(folder, place, json.loads((folder / "files.json").read_bytes()))


@pytest.fixture
def other(kept: Kept, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place on the other engine."""
    if kept.place.database is not None:
        yield Place(tmp_path / "other")
        return
    if find_binaries() is None:
        pytest.skip("there is no PostgreSQL server")
    with empty_database(request, tmp_path / "other") as place:
        yield place


@pytest.fixture
def back(kept: Kept, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place on the same engine."""
    if kept.place.database is None:
        yield Place(tmp_path / "back")
        return
    with empty_database(request, tmp_path / "back") as place:
        yield place


@contextmanager
def empty_database(request: pytest.FixtureRequest, root: Path) -> Iterator[Place]:
    made: Databases = request.getfixturevalue("postgres")
    with made.migrated() as database:
        yield Place(root, database)


def put_master_key(place: Place) -> None:
    """Give a host the master key of every fixture."""
    file = DataFolder(place.root).master_key
    DataFolder(place.root).make(file.parent)
    write_key_file(file, MASTER_KEY)


def run(place: Place, *arguments: str, **env: str) -> str:
    """Run a command that must succeed; return what it prints."""
    done = CliRunner().invoke(
        main, arguments, env={**place.environment, **env}, catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.stdout


def copied(place: Place, to: Place, scratch: Path) -> Place:
    """Make the same store elsewhere by export and import."""
    file = scratch / f"{to.root.name}.ndjson"
    run(place, "log", "export", str(file))
    run(to, "log", "import", str(file), **KEY)
    put_master_key(to)
    return to


def logs_of(place: Place) -> dict[str, Any]:
    """Return every stored row, the highest positions, and the segments."""
    with place.open() as store:
        rows = {log: list(store.rows(log).after(0, _ALL)) for log in LOGS}
        last = {f"last of {log}": store.rows(log).last_given() for log in LOGS}
        segments = [(each.first, each.last, each.digest) for each in store.archive.segments()]
        return {**rows, **last, "segments": segments, "keys": sorted(store.keys.store.owners())}


def passwords_of(store: Store, monitors: Iterable[str]) -> dict[str, list[str]]:
    """Return kind and password of monitors."""
    found = {}
    for public_id in monitors:
        monitor: Any = store.monitoring.repository.get(UUID(public_id))
        config = store.monitoring.unsealed(monitor.id, monitor.kind, monitor.config)
        found[public_id] = [monitor.kind, config.get("password") or config["auth"]["pass"]]
    return found


def as_then(body: str, added: frozenset[str] = ADDED) -> str:
    """Return an answer without the fields that were added since."""
    return orjson.dumps(without(orjson.loads(body), added)).decode() if added else body


def without(value: Any, added: frozenset[str]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {key: without(each, added) for key, each in value.items() if key not in added}
    return [without(each, added) for each in value] if isinstance(value, list) else value


def without_questions(path: str, body: str) -> str:
    """Return a page of events without those that the questions of this test cause.

    The use of a token is an event, once an hour.
    """
    if not path.startswith("/api/events?after=") or QUESTION not in body:
        return body
    items = orjson.loads(body)["items"]
    return orjson.dumps(
        [each for each in items if QUESTION not in orjson.dumps(each).decode()]
    ).decode()


def test_there_is_a_fixture_in_all_forms() -> None:
    for folder in FIXTURES:
        names = {each.name for each in folder.iterdir()}
        assert names >= {"files.tar.xz", "views.tar.xz", "database.sql.xz", "export.ndjson.xz"}
    assert FIXTURES


@each_store
def test_it_holds_what_it_held_and_nothing_was_changed(kept: Kept, tmp_path: Path) -> None:
    for log, known in kept.facts["logs"].items():
        heads = tmp_path / log
        heads.write_text("\n".join(known["heads"]) + "\n")
        options = ("--heads", str(heads), "--public-key", kept.facts["publicKey"])
        (report,) = json.loads(run(kept.place, "log", "verify", log, "--json", *options))
        assert report["events"] == known["events"]
        # Each head once from the store, and once from where it was kept.
        assert report["heads"] == 2 * len(known["heads"]) > 2

    with kept.place.open() as store:
        found = of_logs_then(facts_of(store), kept.facts)

    assert found == {name: kept.facts[name] for name in found}
    assert found["logs"]["checks"]["archived"] > 500
    assert len(found["segments"]) > 1


@each_store
def test_every_event_is_read(kept: Kept) -> None:
    with kept.place.open() as store:
        read = {log: store.reader(log).after(0, _ALL) for log in LOGS}

    for log, events in read.items():
        # A log that is newer than the fixture has no events.
        known = kept.facts["logs"].get(log, {"events": 0, "topics": {}})
        assert len(events) == known["events"]
        found = {type(each.event).TOPIC for each in events}
        assert found == set(known["topics"])


@each_with_views
def test_its_views_are_made_anew_and_are_what_the_logs_make_of_them(kept: Kept) -> None:
    run(kept.place, "projections", "rebuild")
    verdicts = json.loads(run(kept.place, "projections", "verify", "--json"))

    assert [each["differences"] for each in verdicts] == [[]] * len(PROJECTIONS)
    assert all(each["rows"] > 10 for each in verdicts), verdicts


@each_with_views
def test_the_api_answers_as_it_did(kept: Kept) -> None:
    recorded = kept.answers
    bodies = "".join(body for _, body in recorded.values())
    added = frozenset(each for each in ADDED if f'"{each}":' not in bodies)

    with kept.place.open() as store:
        found = answers_of(store, list(recorded))

    for path, (status, body) in recorded.items():
        now = as_then(found[path][1], added)
        assert (found[path][0], without_questions(path, now)) == (
            status,
            without_questions(path, body),
        ), path
    assert len(recorded) > 70


def test_only_added_fields_are_left_out_of_a_comparison() -> None:
    body = '{"a":[{"new":1,"b":1.0,"c":{"new":{}}}],"b":"new"}'

    assert as_then(body, frozenset({"new"})) == '{"a":[{"b":1.0,"c":{}}],"b":"new"}'
    assert as_then(body) == body


@each_store
def test_its_passwords_open_also_under_another_master_key(kept: Kept) -> None:
    other = new_key()
    with kept.place.open() as store:
        assert passwords_of(store, kept.facts["passwords"]) == kept.facts["passwords"]

    run(kept.place, "keys", "rotate", POSTWATCH_NEW_MASTER_KEY=format_master_key(other), **KEY)

    with kept.place.open(other) as store:
        assert passwords_of(store, kept.facts["passwords"]) == kept.facts["passwords"]
    assert len(kept.facts["passwords"]) > 5


@each_store
@pytest.mark.thorough
def test_it_moves_to_the_other_engine_and_back(
    kept: Kept, other: Place, back: Place, tmp_path: Path
) -> None:
    before = logs_of(kept.place)

    moved = copied(kept.place, other, tmp_path)
    returned = copied(moved, back, tmp_path)

    assert logs_of(moved) == before
    assert logs_of(returned) == before
    for place in (moved, returned):
        with place.open() as store:
            assert passwords_of(store, kept.facts["passwords"]) == kept.facts["passwords"]
            found = of_logs_then(facts_of(store), kept.facts)
            assert without_heads(found) == without_heads(kept.facts)


def of_logs_then(found: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts of a store without the logs that there were not then, which are empty."""
    newer = {log: each for log, each in found["logs"].items() if log not in facts["logs"]}
    assert all(each["events"] == each["lastGiven"] == 0 for each in newer.values())
    logs = {log: each for log, each in found["logs"].items() if log not in newer}
    return {**found, "logs": logs}


def without_heads(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a move carries: signed heads stay where they were signed."""
    logs = {log: {**each, "heads": []} for log, each in facts["logs"].items()}
    return {"logs": logs, "segments": facts["segments"], "publicKey": facts["publicKey"]}


@of_each_fixture
def test_its_export_is_imported(place: Place, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "kept.ndjson"
    file.write_bytes(lzma.decompress((folder / "export.ndjson.xz").read_bytes()))
    facts = json.loads((folder / "files.json").read_bytes())

    run(place, "log", "import", str(file), **KEY)

    with place.open(MASTER_KEY) as store:
        found = of_logs_then(facts_of(store), facts)
        assert without_heads(found) == without_heads(facts)
        assert passwords_of(store, facts["passwords"]) == facts["passwords"]


@of_each("files")
def test_it_is_backed_up_and_restored(kept: Kept, back: Place, tmp_path: Path) -> None:
    run(kept.place, "backup", str(tmp_path / "backup"))
    run(back, "restore", str(tmp_path / "backup"), **KEY)
    put_master_key(back)

    assert logs_of(back) == logs_of(kept.place)
    with back.open() as store:
        found = of_logs_then(facts_of(store), kept.facts)
    assert found == {name: kept.facts[name] for name in found}


@each_store
def test_it_goes_on_where_it_was(kept: Kept) -> None:
    last = {log: each["lastGiven"] for log, each in kept.facts["logs"].items()}
    with kept.place.open() as store, Views(store) as views:
        for projector in views.projectors.values():
            projector.catch_up()
        api = Api(create_app(store, views))
        again = api("POST", *REPEATED)
        made = api("POST", "/api/customers", {"name": "New", "email": None})
        checked, version = next_version(store, kept)
        store.checks.record([checked], location=LOCATION, actor=TESTER)

        (check,) = store.reader("checks").after(last["checks"], 9)
        changes = store.reader("monitoring").after(last["monitoring"], 9)

    assert (again["customer"]["id"], made["customer"]["id"]) == (3, 4)
    assert changes[0].position == last["monitoring"] + 1
    # An hour after the fixture was made the use of its token is recorded again.
    topics = [type(each.event).TOPIC for each in changes]
    assert [each for each in topics if each != "TokenUsed"] == ["Registered", "CustomerCreated"]
    assert (check.position, check.event.originator_version) == (last["checks"] + 1, version)
    run(kept.place, "checks", "archive", "--older-than", "1h")
    verified = json.loads(run(kept.place, "log", "verify", "--json"))
    assert verified[1]["events"] == kept.facts["logs"]["checks"]["events"] + 1
    assert verified[1]["archived"] > kept.facts["logs"]["checks"]["archived"]


def next_version(store: Store, kept: Kept) -> tuple[Any, int]:
    """Return a check of a monitor that was checked before, and its place in its stream."""
    public_id = next(iter(kept.facts["passwords"]))
    monitor: Any = store.monitoring.repository.get(UUID(public_id))
    (newest,) = store.checks.newest(monitor.id, LOCATION, 1)
    assert newest.originator_version > 50
    return check_of(monitor), newest.originator_version + 1


def lacking(today: Mapping[str, int], kept: Iterable[Mapping[str, Iterable[int]]]) -> list[str]:
    """Return the earlier versions of today's forms that no fixture has.

    What was before the first fixture cannot be had; a form that came later began with 1.
    """
    fixtures = list(kept)
    found = []
    for form, newest in today.items():
        has = {version for each in fixtures for version in each.get(form, ())}
        first = min(fixtures[0].get(form, [1]))
        found += [f"{form} {version}" for version in range(first, newest) if version not in has]
    return found


def forms_of(folder: Path) -> dict[str, list[int]]:
    """Return the versions of all forms that a fixture has."""
    facts = json.loads((folder / "files.json").read_bytes())
    topics = {
        topic: each for log in facts["logs"].values() for topic, each in log["topics"].items()
    }
    return topics | {form: [version] for form, version in facts["forms"].items()}


def test_every_earlier_version_of_a_form_is_in_a_fixture() -> None:
    assert lacking(written_forms(), map(forms_of, FIXTURES)) == [], (
        "the form was changed without a fixture of the commit before: "
        "see tests/fixtures/stores/README.md"
    )


@pytest.mark.parametrize(
    ("today", "missing"),
    [
        ({"Registered": 2, "segment": 1}, []),
        ({"Registered": 4}, ["Registered 3"]),
        ({"segment": 3}, ["segment 2"]),
        ({"Later": 1}, []),
        ({"Later": 3}, ["Later 1"]),
    ],
)
def test_a_changed_form_without_a_fixture_is_named(
    today: dict[str, int], missing: list[str]
) -> None:
    first = {"Registered": [2], "segment": [1]}
    second = {"Registered": [2], "segment": [1], "Later": [2]}

    assert lacking(today, [first, second]) == missing
