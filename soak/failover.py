"""The primary is killed under load, and its synchronous standby takes over."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from soak.deployment import running
from soak.judge import judge_store
from soak.ledger import CREATED, OK, Clients
from store.log_reader import LogReader
from store.ports.engine import Database
from store.ports.errors import STORE_UNAVAILABLE
from store.store import open_store
from tests.system.service import postwatch
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from soak.deployment import Deployment
    from soak.judge import Judged
    from soak.ledger import Ledger
    from store.store import Store
    from tests.postgres_pair import Pair


Seen = tuple[int, str, int]
"""Position, stream and version of an event."""

UNAVAILABLE = 503
_OUTAGE_SECONDS = 60


class Follower:
    """Reads the `monitoring` log as it grows, like any reader that keeps its position."""

    def __init__(self, root: Path, url: str) -> None:
        self.seen: list[Seen] = []
        self._stop = threading.Event()
        self._store = open_store(root, database=Database(url))
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._store.close()

    def _follow(self) -> None:
        while not self._stop.wait(0.01):
            try:
                self.seen += self._after(self.seen[-1][0] if self.seen else 0)
            except STORE_UNAVAILABLE:
                continue

    def _after(self, position: int) -> list[Seen]:
        return _read(self._store, position)


def _read(store: Store, position: int) -> list[Seen]:
    return [
        (each.position, str(each.event.originator_id), each.event.originator_version)
        for each in LogReader(store.monitoring).after(position, 1_000_000)
    ]


@dataclass
class Failovers:
    """The results of all failovers."""

    ledger: Ledger
    outages: list[float] = field(default_factory=list)
    judged: Judged | None = None

    def __str__(self) -> str:
        assert self.judged is not None
        outages = ", ".join(f"{each:.1f}" for each in self.outages)
        refused = self.ledger.statuses[UNAVAILABLE]
        return (
            f"{len(self.outages)} failovers, no command acknowledged for {outages} s; "
            f"{self.ledger.acknowledged} commands acknowledged, lost 0; {refused} refused, "
            f"{self.ledger.unanswered} unanswered, {self.judged.in_doubt} of these made; "
            f"{self.judged.events} events, {self.judged.checks} checks, doubled 0"
        )


def play_failovers(
    pair: Pair, folder: Path, port: int, is_over: Callable[[Failovers], bool]
) -> Failovers:
    """Fail over under load until that is over, and judge what is left."""
    env = {"POSTWATCH_DATABASE_URL": pair.url, "POSTWATCH_READ_DATABASE_URL": pair.url}
    with running(folder, **env) as fleet:
        with Clients(fleet, port) as clients, Follower(folder / "data", pair.url) as follower:
            found = Failovers(clients.ledger)
            clients.wait_for_more(20)
            while not is_over(found):
                if found.outages:
                    pair.join()
                    clients.wait_for_more(20)
                found.outages.append(_fail_over(pair, clients, fleet))
                clients.wait_for_more(20)
            _checks_go_on(fleet)
            reached = clients.ledger.acknowledged
            clients.wait_for_more(1)
            wait_until(lambda: len(follower.seen) > reached, what="a reader at the head")
        assert clients.ledger.statuses.keys() <= {OK, CREATED, UNAVAILABLE}, clients.ledger.statuses
        assert {part.stop() for part in fleet.parts} == {0}
        verified = postwatch("log", "verify", env=fleet.env)
        assert verified.returncode == 0, verified.stdout
    with open_store(folder / "data", database=Database(pair.url)) as store:
        found.judged = judge_store(store, clients.ledger)
        assert follower.seen == _read(store, 0)[: len(follower.seen)]
    return found


def _fail_over(pair: Pair, clients: Clients, fleet: Deployment) -> float:
    """Return for how many seconds nothing was acknowledged, once it was decided to promote."""
    began = pair.fail_over(lambda: _reads_go_on(fleet))
    before = clients.ledger.acknowledged
    wait_until(
        lambda: clients.ledger.acknowledged > before, seconds=_OUTAGE_SECONDS, what="a command"
    )
    return time.monotonic() - began


def _reads_go_on(fleet: Deployment) -> None:
    """While there is no primary, the standby answers requests that record nothing."""

    def listed() -> int:
        return fleet.client("GET", "/api/smtp-monitors?perPage=1").status

    wait_until(lambda: listed() == OK, what="an answer of the replica")
    assert {listed() for _ in range(20)} == {OK}
    body = {"customerId": 1, "name": "Refused", "hostname": "127.0.0.1"}
    refused = fleet.client("POST", "/api/smtp-monitors", body)
    assert (refused.status, refused.headers["retry-after"]) == (UNAVAILABLE, "5")


def _checks_go_on(fleet: Deployment) -> None:
    def newest() -> str:
        answer = fleet.client("GET", "/api/smtp-monitors?perPage=200")
        return max((each["lastCheckedAt"] or "" for each in answer.body["items"]), default="")

    seen = newest()
    wait_until(lambda: newest() > seen, what="another check")
