"""`make soak`: runs all scenarios of this package for a given time and prints figures.

It is bounded in time, uses loopback only, and works in folders of its own, which it keeps only
after a failure.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from projections import catalog
from soak.archive_kills import MOMENTS, play_archive_kills
from soak.disk_full import play_full_disk
from soak.disk_trace import can_trace
from soak.failover import play_failovers
from soak.fleet import NAMES, Deed, play_fleet
from soak.kills import CARRIERS, COMMANDS, PARTS, KillLoop, add_old_checks, play_kills
from soak.machine import StoreMachine
from soak.power_cut import Cuts, cut_power, record_writer
from soak.room import Room, SizeLimit, SmallDisk, small_disk
from soak.smtp_server import smtp_server
from soak.torn import cuts, make_live, open_cut
from tests.places import Place, databases
from tests.postgres_pair import postgres_pair
from tests.postgres_server import find_binaries
from tests.projections.folding import with_batches_of
from tests.system.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


OLD_CHECKS = 10_000
CARRIED = 0.3
"""In how many rounds a store is copied elsewhere and verified there, which is slow."""

_FULL_DISKS = 5


def play_machine(folder: Path, seconds: float) -> str:
    """Let the machine do everything in any order."""
    del folder
    end, examples, steps = time.monotonic() + seconds, 0, 80
    chosen = settings(
        max_examples=20,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    with pytest.MonkeyPatch.context() as patch:
        # Many transactions where there would be one.
        patch.setattr(catalog, "PROJECTIONS", with_batches_of(3))
        while time.monotonic() < end:
            run_state_machine_as_test(StoreMachine, settings=chosen)
            examples += 20
    return f"{examples} stores, up to {steps} deeds each: logs and views as the model"


def play_kill_loop(folder: Path, seconds: float) -> str:
    """Kill every process, in any order."""
    end = time.monotonic() + seconds

    def rounds(random: Random, _: KillLoop) -> Sequence[str]:
        if time.monotonic() > end:
            return ()
        sorts = [*PARTS, *PARTS, *PARTS, *COMMANDS, *COMMANDS]
        if random.random() < CARRIED:
            sorts.append(random.choice(CARRIERS))
        random.shuffle(sorts)
        return (*sorts, "up")

    with (
        smtp_server() as port,
        Service(folder / "data", POSTWATCH_ARCHIVE_AFTER="never") as service,
    ):
        add_old_checks(service, OLD_CHECKS)
        loop, judged = play_kills(service, port, folder, rounds=rounds, seed=time.time_ns())
    ledger, sorts = loop.clients.ledger, ", ".join(f"{n} {what}" for what, n in loop.kills.items())
    return (
        f"{loop.kills.total()} kills ({sorts}), of commands at work {loop.at_work.total()}; "
        f"{ledger.acknowledged} commands acknowledged, {ledger.unanswered} unanswered, lost 0; "
        f"{judged.events} events, {judged.checks} checks, doubled 0; "
        f"{loop.copies_judged} copies taken up and judged"
    )


def play_archiving(folder: Path, seconds: float) -> str:
    """Kill archiving at each of its steps."""
    end = time.monotonic() + seconds
    with Service(folder / "data", POSTWATCH_ARCHIVE_AFTER="never") as service:
        random = Random(time.time_ns())  # noqa: S311 - chance, no secret
        played = play_archive_kills(
            service, random, lambda found: bool(found.kills) and time.monotonic() > end
        )
    least = min(played.kills[moment] for moment in MOMENTS)
    return (
        f"{played.kills.total()} kills, at least {least} at each of {len(MOMENTS)} moments; "
        f"{played.checks} checks, {played.archived} archived, lost 0"
    )


def play_fleet_on_postgres(folder: Path, seconds: float) -> str:
    """Kill and freeze the parts of a fleet, in any order."""
    if find_binaries() is None:
        return "left out: there is no PostgreSQL server"
    end, random = time.monotonic() + seconds, Random(time.time_ns())  # noqa: S311 - chance

    def rounds() -> Iterator[Deed]:
        while time.monotonic() < end:
            yield Deed(random.choice(NAMES), random.choice(("kill", "freeze")))

    with databases() as made, made.migrated() as database:
        return str(play_fleet(Place(folder / "data", database), folder, random, rounds))


def play_disks(folder: Path, seconds: float) -> str:
    """Fill disks up."""
    end, refused, times = time.monotonic() + seconds, Counter[str](), Counter[str]()
    while not times or time.monotonic() < end:
        place = folder / f"{times.total()}"
        place.mkdir()
        with small_disk(place / "disk") as disk, smtp_server() as port:
            rooms: list[tuple[Room, Path]] = [(SizeLimit(), place)]
            if disk is not None:
                rooms.append((SmallDisk(disk), disk))
            for room, at in rooms:
                service = Service(at / "data")
                service.log = place / f"{type(room).__name__}.log"
                with service:
                    found, _ = play_full_disk(service, room, port, _FULL_DISKS)
                refused[type(room).__name__] += found
                times[type(room).__name__] += _FULL_DISKS
    return "; ".join(
        f"{name}: no room {number} times, {refused[name]} commands refused, lost 0"
        for name, number in times.items()
    )


def play_torn_logs(folder: Path, seconds: float) -> str:
    """Cut a live log at each frame, and damage it there."""
    end, opened = time.monotonic() + seconds, 0
    live = make_live(folder, 30)
    for damage in (False, True):
        for at in cuts(live):
            if time.monotonic() > end:
                return f"{opened} damaged logs opened (time is up)"
            if not damage or at < live.wal.stat().st_size:
                held = open_cut(live, at, folder / "cut", damage=damage)
                assert held == live.events_before(at)
                opened += 1
    return f"{opened} damaged logs opened: exactly what was whole is there"


def play_power_cuts(folder: Path, seconds: float) -> str:
    """Cut the power after any call."""
    if not can_trace():
        return "left out: system calls cannot be recorded here (strace)"
    recorded, total = record_writer(folder, rounds=12), Cuts()
    end, seed = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        done = cut_power(recorded, folder, every=29, seed=seed)
        total = Cuts(total.cuts + done.cuts, done.acknowledged)
        seed += 1
    return (
        f"{total.cuts} power cuts in a record of {len(recorded.calls)} calls with "
        f"{total.acknowledged} acknowledgements: lost 0, every store opens"
    )


def play_failover(folder: Path, seconds: float) -> str:
    """Kill the primary, and let its standby take over, again and again."""
    if find_binaries() is None:
        return "left out: there is no PostgreSQL server"
    end = time.monotonic() + seconds
    with postgres_pair() as pair, smtp_server() as port:
        done = play_failovers(
            pair, folder, port, lambda found: bool(found.outages) and time.monotonic() > end
        )
    return str(done)


PLAYS: dict[str, tuple[Callable[[Path, float], str], float]] = {
    "machine": (play_machine, 0.2),
    "kills": (play_kill_loop, 0.4),
    "archive": (play_archiving, 0.1),
    "fleet": (play_fleet_on_postgres, 0.3),
    "failover": (play_failover, 0.2),
    "disk": (play_disks, 0.1),
    "torn": (play_torn_logs, 0.05),
    "power": (play_power_cuts, 0.15),
}
"""What is played, and its share of the time."""


def main() -> None:
    """Play what is asked for, and print a line of figures for each."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("plays", nargs="*", metavar="PLAY", help=", ".join(PLAYS))
    parser.add_argument("--minutes", type=float, default=10)
    asked = parser.parse_args()
    unknown = set(asked.plays) - PLAYS.keys()
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(PLAYS)}")
    # The views say each time that they begin again; here that is what they should do.
    logging.disable(logging.WARNING)
    chosen = {name: PLAYS[name] for name in asked.plays or PLAYS}
    whole = sum(share for _, share in chosen.values())
    for name, (play, share) in chosen.items():
        folder = Path(tempfile.mkdtemp(prefix=f"postwatch-soak-{name}-"))
        begun = time.monotonic()
        try:
            figures = play(folder, asked.minutes * 60 * share / whole)
        except BaseException:
            print(f"{name}: FAILED, see {folder}", file=sys.stderr)
            raise
        shutil.rmtree(folder)
        print(f"{name}: {figures} ({time.monotonic() - begun:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
