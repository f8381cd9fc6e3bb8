"""The disk of a running service fills up, and gets free space again later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soak.judge import judge
from soak.ledger import CREATED, OK, Clients
from tests.waiting import wait_until

if TYPE_CHECKING:
    from soak.judge import Judged
    from soak.ledger import Ledger
    from soak.room import Room
    from tests.system.service import Answer, Service


AWAY = 503
STORE_UNUSABLE = 3
PARTS = ("api", "projections", "checker")


def play_full_disk(service: Service, room: Room, port: int, times: int = 1) -> tuple[int, Judged]:
    """Take the room away and give it back, again and again, while clients write.

    Returns how many commands were refused for it, and what was judged in the end.
    """
    made = service.client.create(
        "smtp", name="Watched", hostname="127.0.0.1", port=port, checkInterval=0.1
    )
    watched = made["publicId"]
    service.wait_for_check(watched)
    with Clients(service, port) as clients:
        clients.wait_for_more()
        parts = [service.part(part) for part in PARTS]
        for _ in range(times):
            _take_and_give_back(service, room, clients, watched)
        assert [service.part(part) for part in PARTS] == parts, "no process was started again"
        assert clients.ledger.unanswered == 0
        assert clients.ledger.statuses.keys() <= {OK, CREATED, AWAY}, clients.ledger.statuses
    _everything_acknowledged_is_shown(service, clients.ledger)
    service.stop()
    return clients.ledger.statuses[AWAY], judge(service.data, clients.ledger)


def _take_and_give_back(service: Service, room: Room, clients: Clients, watched: str) -> None:
    room.take(service)
    try:
        refused = clients.ledger.statuses[AWAY]
        wait_until(lambda: clients.ledger.statuses[AWAY] > refused + 20, what="refusals")
        _reads_go_on_and_writes_say_why(service, watched)
        if room.is_of_the_disk:
            _commands_say_why(service)
        last = service.client("GET", f"/api/smtp-monitors/{watched}").body["lastCheckedAt"]
    finally:
        room.give(service)
    clients.wait_for_more(10)
    wait_until(
        lambda: service.client("GET", f"/api/smtp-monitors/{watched}").body["lastCheckedAt"] > last,
        what="another check",
    )


def _reads_go_on_and_writes_say_why(service: Service, watched: str) -> None:
    answer = service.client("GET", f"/api/smtp-monitors/{watched}")
    assert answer.status == OK, answer
    listed = service.client("GET", "/api/smtp-monitors")
    assert listed.body["total"] >= len(listed.body["items"]) > 0
    customer = {"name": "No room", "email": "no@example.com"}
    refused: Answer = wait_until(
        lambda: _refusal(service.client("POST", "/api/customers", customer)), what="a refusal"
    )
    assert {name.lower(): each for name, each in refused.headers.items()}["retry-after"] == "5"
    assert "nothing was acknowledged, try again later" in refused.body["message"]


def _commands_say_why(service: Service) -> None:
    """A command finds no room, either, and says so; or the log's file had some left."""
    done = service.run("customer", "create", "No room")
    if done.returncode:
        (line,) = done.stderr.splitlines()
        assert done.returncode == STORE_UNUSABLE
        assert "full" in line
    assert service.client("GET", "/readyz").body["parts"]["log"]["error"] == "disk full"


def _refusal(answer: Answer) -> Any:  # noqa: ANN401 - the answer, or nothing
    """Return an answer that refuses. The space within a log's file may still take an event."""
    return answer if answer.status == AWAY else None


def _everything_acknowledged_is_shown(service: Service, ledger: Ledger) -> None:
    for public_id, names in ledger.names.items():
        answer = service.client("GET", f"/api/smtp-monitors/{public_id}")
        if public_id in ledger.deleted:
            assert answer.status != OK
        else:
            assert answer.body["name"] == names[-1]
