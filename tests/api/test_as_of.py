"""`?asOf=`: what the API answered then, byte by byte; what was deleted since; bad points."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from domain.clock import iso_milliseconds, utc_now
from tests.api.world import IMAP, PATHS, SMTP, later_than, path_of, without_state
from tests.domain.given import NOON, TESTER, check_of
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from falcon.testing import Result

    from domain.monitor import Monitor
    from tests.api.world import Persona, Whose, World


Query = dict[str, str | int]
CUSTOMER = {"name": "New"}
HEADER = "x-as-of-position"
READERS = 2
CHANGES = 20
LISTS: tuple[Query, ...] = (
    {},
    {"search": "server"},
    {"search": "100%"},
    {"search": "EXAMPLE CUST"},
    {"search": "se"},
    {"perPage": 2},
    {"perPage": 2, "page": 2},
)


class Recorded(NamedTuple):
    """An answer, and when it was given: at the position that it names, if it names one."""

    position: int
    path: str
    query: Query
    answer: Result

    def comes_again(self, world: World, point: int | str, persona: Persona = "admin") -> None:
        """Ask for it at a position or a time, and compare."""
        again = world.caller(persona).get(self.path, asOf=point, **self.query)
        assert again.status_code == self.answer.status_code, (persona, self)
        if again.status_code == 200:
            assert again.content == without_state(self.answer.content), (persona, self)
            assert again.headers.get("etag") == self.answer.headers.get("etag")
            assert again.headers[HEADER] == str(self.position)
        else:
            assert HEADER not in again.headers


def head(world: World) -> int:
    return world.views.projector("history").log.head()


def record(world: World, monitors: list[Monitor], persona: Persona = "admin") -> list[Recorded]:
    """Ask for everything now."""
    caller = world.caller(persona)
    world.views.projector("monitors").catch_up()
    position = head(world)
    asked: list[tuple[str, Query]] = [(path_of(each), {}) for each in monitors]
    of_customer: Query = {"customerId": world.owners["own"].customer.number}
    for query in (*LISTS, of_customer):
        asked += [(SMTP, query), (IMAP, query)]
    found = [Recorded(position, path, query, caller.get(path, **query)) for path, query in asked]
    assert head(world) == position
    named = {each.answer.headers.get(HEADER) for each in found if each.answer.status_code == 200}
    assert named == {str(position)}
    return found


def live(world: World) -> tuple[list[Recorded], list[Monitor]]:
    """Let much happen, and record all answers after each thing."""
    log = world.admin
    monitors = [
        world.monitor("smtp", name="Server 1", config={"auth": {"user": "u", "pass": "canary"}}),
        world.monitor("imap_pop", name="Server 2"),
        world.monitor("smtp", "other", name="100% relay", check_interval=0.5),
    ]
    recorded = record(world, monitors)
    customer = f"/api/customers/{world.owners['own'].customer.id}"
    for number, (path, change) in enumerate(
        [
            (path_of(monitors[0]), {"name": "Renamed", "port": None}),
            (path_of(monitors[1]), {"status": "paused", "allowedCheckCountryCodes": ["DE", "FI"]}),
            (customer, {"name": "Another Name", "email": None}),
            (path_of(monitors[2]), {"smtpConfig": {"auth": {"user": "ß", "pass": "canary"}}}),
            (path_of(monitors[0]), None),
            (path_of(monitors[1]), {"name": 'quote " percent %s'}),
            (path_of(monitors[1]), None),
        ]
    ):
        answer = log.delete(path) if change is None else log.patch(path, change)
        assert answer.status_code == 200, answer.text
        monitors.append(world.monitor(name=f"Late server {number}"))
        recorded += record(world, monitors)
    return recorded, monitors


def test_answers_at_positions_come_again_byte_by_byte(fresh_world: World) -> None:
    recorded, _ = live(fresh_world)

    for each in recorded:
        each.comes_again(fresh_world, each.position)
    assert {each.answer.status_code for each in recorded} == {200, 404}
    assert len({each.position for each in recorded}) > 7


def test_positions_tell_apart_what_a_time_cannot(fresh_world: World) -> None:
    fresh_world.admin.get(SMTP)
    still = utc_now()
    fresh_world.store.monitoring.clock = lambda: still
    recorded, monitors = live(fresh_world)
    last = record(fresh_world, monitors)

    for each in recorded:
        each.comes_again(fresh_world, each.position)
    for each in last:
        each.comes_again(fresh_world, iso_milliseconds(still))
    assert len({each.position for each in recorded}) > 7
    assert len({each.answer.content for each in recorded if each.query == {"search": "se"}}) > 7


def test_every_role_is_answered_as_it_was(fresh_world: World) -> None:
    personas: tuple[Persona, ...] = ("scoped_user", "readonly", "scoped_readonly", "supporter")
    monitors = [fresh_world.monitor("smtp", each) for each in ("own", "other", "foreign")]
    recorded = {each: record(fresh_world, monitors, each) for each in personas}
    for monitor in monitors:
        fresh_world.store.monitoring.delete_monitor(monitor.id, TESTER)

    for persona, answers in recorded.items():
        for each in answers:
            each.comes_again(fresh_world, each.position, persona)


class Readers:
    """Threads that ask for some pages all the time, and keep each answer by its position."""

    def __init__(self, world: World, asked: list[tuple[str, Query]]) -> None:
        self._world = world
        self._asked = asked
        self._stop = threading.Event()
        self.looks = 0
        self.answers: list[Recorded] = []
        self.problems: list[str] = []

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read while the block runs."""
        threads = [threading.Thread(target=self._read) for _ in range(READERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(30)
        assert not any(thread.is_alive() for thread in threads)

    def go_on(self) -> None:
        """Wait until each reader has looked again."""
        begun = self.looks
        wait_until(lambda: self.problems or self.looks > begun + 2 * READERS)

    def _read(self) -> None:
        caller = self._world.admin
        try:
            while not self._stop.is_set():
                for path, query in self._asked:
                    answer = caller.get(path, **query)
                    position = int(answer.headers[HEADER])
                    self.answers.append(Recorded(position, path, query, answer))
                self.looks += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shall tell
            self.problems.append(repr(error))


def test_the_position_fits_the_answer_whatever_is_written_meanwhile(fresh_world: World) -> None:
    monitor = fresh_world.monitor()
    customer = f"/api/customers/{fresh_world.owners['own'].customer.id}"
    asked: list[tuple[str, Query]] = [(path_of(monitor), {}), (SMTP, {}), (SMTP, {"search": "out"})]
    readers = Readers(fresh_world, asked)
    writer = fresh_world.admin

    with readers.reading():
        for number in range(CHANGES):
            writer.patch(path_of(monitor), {"name": f"Outbound {number}"})
            writer.patch(customer, {"name": f"Customer {number}"})
            made = writer.post(SMTP, fresh_world.body())
            readers.go_on()
            writer.delete(made.headers["location"])
            if number % 5 == 0:
                fresh_world.views.projector("monitors").rebuild()

    assert readers.problems == []
    assert len({each.position for each in readers.answers}) > CHANGES
    answers = {
        (each.position, each.path, *each.query, each.answer.content): each
        for each in readers.answers
    }
    for each in answers.values():
        each.comes_again(fresh_world, each.position)


@pytest.mark.parametrize("kind", ["smtp", "imap_pop"])
@pytest.mark.parametrize(
    ("persona", "statuses"),
    [
        ("admin", (200, 200, 404)),
        ("user", (200, 200, 404)),
        ("scoped_admin", (200, 403, 404)),
        ("scoped_user", (200, 403, 404)),
        ("readonly", (200, 200, 404)),
        ("scoped_readonly", (200, 403, 404)),
        ("supporter", (200, 200, 200)),
        ("stranger", (404, 404, 200)),
        ("revoked", (401, 401, 401)),
        ("nobody", (401, 401, 401)),
    ],
)
def test_the_past_is_for_those_who_may_read_the_present(
    world: World, persona: Persona, statuses: tuple[int, int, int], kind: str
) -> None:
    everybody: tuple[Whose, ...] = ("own", "other", "foreign")
    monitors = [world.monitor(kind, whose) for whose in everybody]
    position = head(world)
    for each in monitors:
        world.store.monitoring.delete_monitor(each.id, TESTER)
    caller = world.caller(persona)

    answers = [caller.get(path_of(each), asOf=position) for each in monitors]
    listed = caller.get(PATHS[kind], asOf=position, perPage=200)

    assert tuple(each.status_code for each in answers) == statuses
    if listed.status_code == 200:
        shown = {each["publicId"] for each in listed.json["items"]}
        seen = {str(each.id) for each, code in zip(monitors, statuses, strict=True) if code == 200}
        # A list without a filter is of the token's own organization.
        seen -= {str(monitors[2].id)} if persona == "supporter" else set()
        assert shown & {str(each.id) for each in monitors} == seen


def test_a_time_that_an_answer_shows_can_be_asked_for(fresh_world: World) -> None:
    made = fresh_world.admin.post(SMTP, fresh_world.body()).json
    path = f"{SMTP}/{made['publicId']}"
    first = fresh_world.admin.get(path)
    later_than(made["updatedAt"])
    changed = fresh_world.admin.patch(path, {"name": "New"}).json
    second = fresh_world.admin.get(path)
    later_than(changed["updatedAt"])
    assert changed["updatedAt"] > made["updatedAt"]
    fresh_world.admin.delete(path)

    at = {name: fresh_world.admin.get(path, asOf=time) for name, time in {
        "first": made["updatedAt"],
        "second": changed["updatedAt"],
        "offset": changed["updatedAt"].replace("Z", "+00:00"),
        "before": "2020-01-01T00:00Z",
    }.items()}  # fmt: skip

    assert at["first"].content == without_state(first.content)
    assert at["second"].content == at["offset"].content == without_state(second.content)
    assert at["before"].status_code == 404
    assert fresh_world.admin.get(path).status_code == 404


def test_an_offset_whose_plus_was_not_escaped_is_understood(fresh_world: World) -> None:
    path = path_of(fresh_world.monitor())
    now = iso_milliseconds(utc_now()).removesuffix("Z")

    answer = fresh_world.admin.send("GET", f"{path}?asOf={now}+00:00", "")

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", ["smtp", "imap_pop"])
def test_the_last_check_is_the_newest_that_had_ended(fresh_world: World, kind: str) -> None:
    monitor = fresh_world.monitor(kind)
    unchecked = fresh_world.monitor(kind)
    for place, minutes in {"de-nbg": (1, 3, 5), "fi-hel": (2, 4)}.items():
        fresh_world.store.monitoring.register_location(place, place, None, TESTER)
        checks = [check_of(monitor, each) for each in minutes]
        fresh_world.store.checks.record(checks, location=place, actor=TESTER)
    for view in ("monitors", "checks"):
        fresh_world.views.projector(view).catch_up()
    shown = fresh_world.admin.get(PATHS[kind])

    again = fresh_world.admin.get(PATHS[kind], asOf=head(fresh_world))

    assert again.content == without_state(shown.content)
    times = [each["lastCheckedAt"] for each in again.json["items"]]
    assert times == ["2026-01-01T12:05:00.000Z", None]
    assert unchecked.number == 2


def test_at_a_position_the_last_check_is_the_newest_that_had_ended_at_its_event(
    fresh_world: World,
) -> None:
    fresh_world.store.monitoring.clock = lambda: NOON
    monitor = fresh_world.monitor()
    fresh_world.store.monitoring.register_location("de-nbg", "Nuremberg", None, TESTER)
    checks = [check_of(monitor, each) for each in (1, 3, 5)]
    fresh_world.store.checks.record(checks, location="de-nbg", actor=TESTER)
    fresh_world.views.projector("checks").catch_up()
    admin, path = fresh_world.admin, path_of(monitor)
    first = admin.get(path)
    fresh_world.store.monitoring.clock = lambda: NOON + timedelta(minutes=4)
    admin.patch(path, {"name": "New"})
    second = admin.get(path)

    again = [admin.get(path, asOf=each.headers[HEADER]) for each in (first, second)]

    assert [each.json["lastCheckedAt"] for each in (first, second)] == [
        "2026-01-01T12:05:00.000Z"
    ] * 2
    before, after = (json.loads(without_state(each.content)) for each in (first, second))
    assert [each.json for each in again] == [
        {**before, "lastCheckedAt": None},
        {**after, "lastCheckedAt": "2026-01-01T12:03:00.000Z"},
    ]


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ("", "must be a time"),
        ("x", "must be a time in ISO 8601 with an offset from UTC"),
        ("-1", "or a position of the log"),
        ("1.5", "must be a time"),
        ("٣", "must be a time"),
        ("999999999", "lies beyond the head of the log"),
        ("9" * 40, "lies beyond the head of the log"),
        ("2026-01-01", "must be a time"),
        ("2026-01-01T00:00:00", "with an offset from UTC"),
        ("2026-02-30T00:00:00Z", "is not a time that there is"),
        ("0001-01-01T00:00:00+23:59", "is not a time that there is"),
        ("2999-01-01T00:00:00Z", "lies in the future"),
    ],
)
def test_a_wrong_point_is_named(world: World, point: str, says: str) -> None:
    for path in (SMTP, IMAP, path_of(world.monitor())):
        answer = world.admin.get(path, asOf=point)
        assert answer.status_code == 400, answer.text
        assert answer.json["message"].startswith("Invalid asOf: ")
        assert says in answer.json["message"]


def test_an_owner_that_was_not_there_then_is_not_found_then(fresh_world: World) -> None:
    before = head(fresh_world)
    made = fresh_world.admin.post("/api/customers", CUSTOMER).json["customer"]
    fresh_world.admin.get(SMTP)

    now = fresh_world.admin.get(SMTP, customerId=made["id"])
    then = fresh_world.admin.get(SMTP, customerId=made["id"], asOf=before)
    nothing = fresh_world.admin.get(SMTP, asOf=0)

    assert (now.status_code, then.status_code) == (200, 404)
    assert nothing.json == {"items": [], "total": 0, "page": 1, "perPage": 50}
    organization = fresh_world.owners["own"].organization.number
    assert fresh_world.admin.get(SMTP, organizationId=organization, asOf=0).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/customers"),
        ("GET", "/api/organization"),
        ("GET", "{monitor}/check-history"),
        ("GET", "{monitor}/uptime"),
        ("PATCH", "{monitor}"),
        ("DELETE", "{monitor}"),
        ("POST", SMTP),
    ],
)
def test_what_knows_no_past_refuses_to_show_the_present_instead(
    world: World, method: str, path: str
) -> None:
    monitor = world.monitor()

    answer = world.admin.send(method, f"{path.format(monitor=path_of(monitor))}?asOf=1", "{}")

    assert answer.status_code == 400
    assert answer.json["message"].startswith("Invalid asOf: the past can be read of one monitor")
    assert world.admin.get(path_of(monitor)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("TRACE", "{monitor}"), ("PUT", SMTP), ("DELETE", SMTP)]
)
def test_a_method_that_is_not_allowed_is_405_whatever_is_asked(
    world: World, method: str, path: str
) -> None:
    monitor = world.monitor()

    answer = world.admin.send(method, f"{path.format(monitor=path_of(monitor))}?asOf=1", "")

    assert answer.status_code == 405
