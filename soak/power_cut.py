"""A power cut at any moment: everything acknowledged survives, and the store opens.

The program `writer` runs under a tracer of system calls. From the trace the disk is reproduced
as of a moment, without data that was not synced by then, and the store on it is verified.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import orjson

from projections.catalog import Views
from soak.disk_model import Disk
from soak.disk_trace import Call, record
from soak.writer import PASSWORD
from store.ports.engine import LOGS
from store.proving import log_proof, verify
from store.store import create_store, open_store
from tests.domain.given import TESTER, make_owners
from tests.projections.folding import catch_up, everything

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from store.log_reader import LoggedEvent
    from store.store import Store


ROOT = Path(__file__).parents[2]


@dataclass
class Recorded:
    """The traced changes of the disk, and the content of the logs at the end."""

    root: str
    told: str
    calls: list[Call]
    history: dict[str, list[LoggedEvent]]


@dataclass
class Cuts:
    """How many power cuts there were, and how many acknowledged commands they followed."""

    cuts: int = 0
    acknowledged: int = 0


def record_writer(folder: Path, rounds: int) -> Recorded:
    """Run the program and record it."""
    root, told = str(folder / "store"), str(folder / "told")
    command = [sys.executable, "-m", "soak.writer", root, str(rounds), told]
    calls = record(command, ROOT, folder / "trace")
    with open_store(Path(root)) as store:
        return Recorded(root, told, calls, _history(store))


def cut_power(recorded: Recorded, folder: Path, *, every: int, seed: int) -> Cuts:
    """Cut the power at each `every`th call that changes the disk, twice: strictly and by chance."""
    random, disk, done = Random(seed), Disk(recorded.root), Cuts()  # noqa: S311 - chance, no secret
    acknowledged: dict[str, int] = {}
    for number, call in enumerate(recorded.calls):
        if call.path == recorded.told and call.what == "write":
            acknowledged = orjson.loads(call.data)
            done.acknowledged += 1
            continue
        disk.play(call)
        if (number + seed) % every == 0:
            for chance in (None, random):
                disk.write_image(folder / "image", chance)
                _judge(folder / "image", acknowledged, recorded.history)
                shutil.rmtree(folder / "image")
                done.cuts += 1
    return done


def _judge(root: Path, acknowledged: dict[str, int], history: dict[str, list[LoggedEvent]]) -> None:
    """Open what a power cut left. Before anything was acknowledged a start makes the rest."""
    if not acknowledged:
        create_store(root).close()
    with open_store(root) as store:
        found = _history(store)
        for name, events in found.items():
            assert events == history[name][: len(events)]
            assert len(events) >= acknowledged.get(name, 0), "an acknowledged event is lost"
        _proofs_hold(store)
        _passwords_open(store, found["monitoring"])
        _views_show_it(store)


def _history(store: Store) -> dict[str, list[LoggedEvent]]:
    return {name: list(store.reader(name).after(0, 1_000_000)) for name in LOGS}


def _passwords_open(store: Store, events: list[LoggedEvent]) -> None:
    for public_id in _monitors(events):
        monitor: Any = store.monitoring.repository.get(public_id)
        if not monitor.deleted:
            config = store.monitoring.unsealed(public_id, "smtp", monitor.config)
            assert config["auth"]["pass"] == PASSWORD


def _monitors(events: list[LoggedEvent]) -> Iterator[UUID]:
    for _, event in events:
        if type(event).TOPIC == "MonitorCreated":
            yield event.originator_id


def _proofs_hold(store: Store) -> None:
    for name in LOGS:
        proof = log_proof(store, name)
        proof.grow()
        report = verify(proof)
        assert report.ok, report.findings


def _views_show_it(store: Store) -> None:
    """The views equal a rebuild, and the store takes commands under the next numbers."""
    with Views(store) as views:
        store.monitoring.create_monitor(make_owners(store, "After").create(), TESTER)
        catch_up(views)
        shown = everything(views)
        for projector in views.projectors.values():
            projector.rebuild(lambda *_: None)
        assert everything(views) == shown
