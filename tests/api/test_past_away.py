"""Reads of the past while the view `history` lags: only recorded states are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.clock import iso_milliseconds, utc_now
from tests.api.test_view_away import no_room_for
from tests.api.world import SMTP, path_of

if TYPE_CHECKING:
    from tests.api.world import Caller, World


EVENTS = "/api/events"


def feed(caller: Caller, after: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read the feed to its end; return it and where to go on."""
    found: list[dict[str, Any]] = []
    while True:
        answer = caller.get(EVENTS, after=after, limit=20)
        assert answer.status_code == 200, answer.text
        found, after = found + answer.json["items"], answer.json["next"]
        if not answer.json["hasMore"]:
            return found, after


def test_the_past_is_shown_as_far_as_its_view_has_come(fresh_world: World) -> None:
    admin, view = fresh_world.admin, fresh_world.views.projector("history").view
    monitor = fresh_world.monitor()
    before, position = feed(admin)
    shown = admin.get(path_of(monitor), asOf=position)

    with no_room_for(view):
        for number in range(60):
            fresh_world.monitor(name=f"{number} {'x' * 200}")
        head = fresh_world.views.projector("history").log.head()
        seen, reached = feed(admin, position)
        assert reached == view.position() < head
        assert all(each["position"] <= reached for each in seen)
        assert admin.get(path_of(monitor), asOf=position).content == shown.content
        told = admin.get(f"{path_of(monitor)}/history").json["items"]
        assert [each["type"] for each in told] == ["MonitorCreated"]
        for point in (head, iso_milliseconds(utc_now())):
            answer = admin.get(SMTP, asOf=point)
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) > 0

    rest, _ = feed(admin, reached)
    whole, _ = feed(admin)
    assert before + seen + rest == whole
    assert sum(each["type"] == "MonitorCreated" for each in whole) == 61
    assert admin.get(SMTP, asOf=head).json["total"] == 61


def test_rows_of_another_history_are_never_told(fresh_world: World) -> None:
    monitor = fresh_world.monitor()
    assert fresh_world.admin.get(EVENTS).status_code == 200
    view = fresh_world.views.projector("history").view
    view.invalidate(view.position())

    for path in (EVENTS, f"{path_of(monitor)}/history", f"{SMTP}?asOf=5"):
        answer = fresh_world.admin.send("GET", path, "")
        assert answer.status_code == 503, (path, answer.text)
    assert not view.is_current(), "reading makes nothing anew"
