"""A fleet on PostgreSQL whose parts are killed and frozen, one after the other, under load.

Two groups of API workers, two projections processes, two locations with two checkers each.
A part is killed or frozen as its host would be. Afterwards every acknowledged command is in
the log, every due time of every monitor was checked once from each location within the
tolerance, no reader met a position out of order, and views equal a rebuild.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import cycle
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self
from uuid import UUID

from checker.schedule.grid import unit_fraction
from soak.judge import CLOCK_SECONDS, EVERYTHING, judge_store
from soak.ledger import UNANSWERED, Clients
from soak.smtp_server import smtp_server
from store.ports.engine import LOGS
from tests.mailservers.processes import free_ports
from tests.system.parts import Part, stopping
from tests.system.service import Client, postwatch
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from random import Random

    from domain.check import CheckPerformed
    from soak.judge import Judged
    from store.store import Store
    from tests.places import Place


TOKEN: Final = "wsm_the-token-of-soak-tests-7f3a9c1e5b2d"
LOCATIONS: Final = {
    "de-nbg": ("Nuremberg (DE)", "DE"),
    "fi-hel": ("Helsinki (FI)", "FI"),
}
NAMES: Final = (
    *(f"{part}-{number}" for part in ("api", "projections") for number in (0, 1)),
    *(f"checker-{code}-{number}" for code in LOCATIONS for number in (0, 1)),
)
INTERVAL_SECONDS: Final = 30.0
STEADY: Final = 40
"""Monitors that nobody changes, whose due times are all looked for."""

TOLERANCE_SECONDS: Final = 15.0
"""How late a check may begin: a frozen checker is noticed after five seconds, its shards are
taken at the next look, and the machine that all this runs on is small."""

_RESTART_MESSAGES: Final = {
    "api": "api: listening on",
    "projections": "",
    "checker": "checker ready",
}


class Deed(NamedTuple):
    """The fault that is injected into a part."""

    name: str
    how: Literal["kill", "freeze"]


@dataclass
class Figures:
    """How many faults were injected into the fleet, and their results."""

    kills: Counter[str] = field(default_factory=Counter)
    freezes: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    unanswered: int = 0
    due: int = 0
    latest_seconds: float = 0.0
    followed: int = 0
    judged: Judged | None = None

    def __str__(self) -> str:
        return (
            f"{self.kills.total()} kills and {self.freezes.total()} freezes "
            f"({', '.join(f'{number} {name}' for name, number in self.kills.items())}); "
            f"{self.acknowledged} commands acknowledged, {self.unanswered} unanswered, lost 0; "
            f"{self.due} due times, each checked once, at most {self.latest_seconds:.1f} s late; "
            f"{self.followed} events followed in order; {self.judged}"
        )


class Fleet:
    """The parts, started and stopped with the block. `place` is where their store is."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self._folder = folder
        self._ports = free_ports(2)
        self._stack = ExitStack()
        self.parts = {name: self._part(name) for name in NAMES}
        self._clients = cycle([Client(port, TOKEN) for port in self._ports])

    @property
    def client(self) -> Client:
        """A client of the one group of workers, and next time of the other."""
        return next(self._clients)

    def __enter__(self) -> Self:
        env = self._environment("init") | {"POSTWATCH_ADMIN_TOKEN": TOKEN}
        made = postwatch("init", env=env)
        assert made.returncode == 0, made.stderr
        self._stack.enter_context(stopping(list(self.parts.values())))
        for name in self.parts:
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, name: str) -> None:
        """Start a part and wait until it does its work."""
        self.parts[name].start(_RESTART_MESSAGES[name.partition("-")[0]])

    def _part(self, name: str) -> Part:
        sort, _, rest = name.partition("-")
        code, _, number = rest.rpartition("-")
        command, env = [sort], self._environment(name)
        if sort == "api":
            port = self._ports[int(number)]
            env |= {"POSTWATCH_BIND": f"127.0.0.1:{port}", "POSTWATCH_WORKERS": "1"}
        elif sort == "projections":
            command.append("run")
        else:
            place, country = LOCATIONS[code]
            command += ["--location", code, "--name", place, "--country", country]
        return Part(command, env, self._folder / f"{name}.log")

    def _environment(self, name: str) -> dict[str, str]:
        return {
            **self.place.environment,
            "POSTWATCH_DATA": str(self._folder / name),
            "POSTWATCH_MASTER_KEY": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "POSTWATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
        }


class Follower:
    """A reader that follows both logs all the time, as projections and checkers do."""

    def __init__(self, store: Store) -> None:
        self._readers = {name: store.reader(name) for name in LOGS}
        self.seen: dict[str, list[int]] = {name: [] for name in LOGS}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Follow no further."""
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stop.wait(0.005):
            self.read()

    def read(self) -> None:
        """Read what is new."""
        for name, reader in self._readers.items():
            seen = self.seen[name]
            seen += [each.position for each in reader.after(seen[-1] if seen else 0, 1000)]

    def require_everything(self) -> int:
        """Assert that nothing came behind its back; return how many events it has followed."""
        self.stop()
        self.read()
        for name, reader in self._readers.items():
            seen = self.seen[name]
            whole = [each.position for each in reader.after(0, EVERYTHING)]
            assert seen == whole[: len(seen)], f"a reader of {name} passed over an event"
        return sum(map(len, self.seen.values()))


def play_fleet(
    place: Place, folder: Path, random: Random, rounds: Callable[[], Iterator[Deed]]
) -> Figures:
    """Kill and freeze the parts as `rounds` says, under load; judge what is left."""
    figures = Figures()
    with (
        smtp_server() as port,
        Fleet(place, folder) as fleet,
        place.open(bytes(32)) as store,
        Follower(store) as follower,
    ):
        steady = [_steady(fleet, port, number) for number in range(STEADY)]
        _wait_until_all_are_checked(store, steady)
        begin = datetime.now().astimezone()
        with Clients(fleet, port) as clients:
            for deed in rounds():
                _disturb(fleet, deed, random, figures)
                clients.wait_for_more(10)
        _wait_until_all_parts_work(fleet, store)
        end = datetime.now().astimezone()
        figures.followed = follower.require_everything()
    ledger = clients.ledger
    figures.acknowledged, figures.unanswered = ledger.acknowledged, ledger.unanswered
    with place.open(bytes(32)) as store:
        checks = [each.event for each in store.reader("checks").after(0, EVERYTHING)]
        figures.due, figures.latest_seconds = _every_due_time_was_checked_once(
            checks, steady, begin.timestamp(), end.timestamp()
        )
        figures.judged = judge_store(store, ledger)
    return figures


def _steady(fleet: Fleet, port: int, number: int) -> UUID:
    body = {"hostname": "127.0.0.1", "port": port, "checkInterval": INTERVAL_SECONDS / 60}
    return UUID(fleet.client.create("smtp", name=f"Steady {number}", **body)["publicId"])


def _wait_until_all_are_checked(store: Store, monitors: list[UUID]) -> None:
    def missing() -> int:
        found = (store.checks.newest(each, code, 1) for each in monitors for code in LOCATIONS)
        return sum(not each for each in found)

    wait_until(lambda: not missing(), seconds=60, what="first checks")


def _disturb(fleet: Fleet, deed: Deed, random: Random, figures: Figures) -> None:
    """Kill a part and start it again, or freeze it for a while."""
    part, pause = fleet.parts[deed.name], threading.Event()
    if deed.how == "kill":
        part.kill()
        figures.kills[deed.name] += 1
        # Long enough that others take over, now and then.
        pause.wait(random.choice((0.0, 2.0, 8.0)))
        fleet.start(deed.name)
    else:
        part.freeze()
        figures.freezes[deed.name] += 1
        pause.wait(random.uniform(1.0, 12.0))
        part.thaw()


def _wait_until_all_parts_work(fleet: Fleet, store: Store) -> None:
    """Wait until both groups answer, and every shard has its checker again."""

    def answers() -> bool:
        try:
            return all(fleet.client("GET", "/readyz").status == 200 for _ in range(2))
        except UNANSWERED:
            return False

    wait_until(answers, seconds=60, what="both groups of workers ready")
    head = store.reader("checks").head()
    wait_until(lambda: store.reader("checks").head() > head, seconds=60, what="more checks")


def _every_due_time_was_checked_once(
    checks: list[CheckPerformed], monitors: list[UUID], begin: float, end: float
) -> tuple[int, float]:
    """Return how many due times there were, and how late the latest check of one began."""
    found: dict[tuple[str, str], dict[int, list[CheckPerformed]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for check in checks:
        step = _seconds(check.due_at) / INTERVAL_SECONDS - unit_fraction(UUID(check.monitor_id))
        # The first check of a monitor is due when it was made, beside the grid.
        if abs(step - round(step)) * INTERVAL_SECONDS < CLOCK_SECONDS:
            found[check.monitor_id, check.location][round(step)].append(check)
    due, latest = 0, 0.0
    for monitor in monitors:
        phase = unit_fraction(monitor)
        first = int(begin / INTERVAL_SECONDS - phase) + 1
        last = int((end - TOLERANCE_SECONDS) / INTERVAL_SECONDS - phase)
        for code in LOCATIONS:
            for step in range(first, last + 1):
                made = found[str(monitor), code][step]
                assert len(made) == 1, f"{monitor} from {code} at step {step}: {len(made)} checks"
                late = _seconds(made[0].started_at) - _seconds(made[0].due_at)
                assert late <= TOLERANCE_SECONDS, f"{monitor} from {code}: {late:.1f} s late"
                due, latest = due + 1, max(latest, late)
    return due, latest


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
