"""A program that runs every command on a store, and reports which ones were acknowledged.

Run under a tracer of system calls: `python -m soak.writer FOLDER ROUNDS TOLD`. After each
command that returned it adds a line to the file TOLD, with the positions of the logs.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from domain.commands import UpdateMonitor
from projections.catalog import Views
from store.archiving import Archiver
from store.keys.rotation import rotate
from store.ports.engine import LOGS
from store.proving import log_proof
from store.store import create_store
from tests.domain.given import TESTER, check_of, make_owners
from tests.projections.folding import catch_up

if TYPE_CHECKING:
    from store.store import Store
    from tests.domain.given import Owners


PASSWORD = "canary-of-a-power-cut"


class Writer:
    """Runs commands, and writes a line after each of them."""

    def __init__(self, store: Store, views: Views, told: int) -> None:
        self._store = store
        self._views = views
        self._told = told
        self._logs = {name: store.reader(name) for name in LOGS}

    def play(self, rounds: int) -> None:
        """Write everything that a store can hold."""
        owners = make_owners(self._store)
        self._tell()
        for number in range(rounds):
            self._monitor(owners, number)
            if number % 4 == 3:
                rotate(self._store.keys.store, self._store.master_keys)
            if number % 3 == 2:
                self._prove()
            if number % 5 == 3:
                self._archive()
            if number % 7 == 6:
                self._views.projector("monitors").rebuild(lambda *_: None)

    def _monitor(self, owners: Owners, number: int) -> None:
        monitoring = self._store.monitoring
        config = {"auth": {"user": "u", "pass": PASSWORD}}
        made = monitoring.create_monitor(owners.create(name=f"{number}", config=config), TESTER)
        self._tell()
        monitoring.update_monitor(UpdateMonitor(made.id, {"name": f"changed {number}"}), TESTER)
        self._tell()
        checks = [check_of(made, minute) for minute in range(3)]
        self._store.checks.record(checks, location="local", actor=TESTER)
        self._tell()
        catch_up(self._views)
        if number % 5 == 4:
            monitoring.delete_monitor(made.id, TESTER)
            self._tell()

    def _archive(self) -> None:
        """Move all checks that there are to a file; they are of long ago."""
        seen = self._logs["checks"].head()
        Archiver(self._store, TESTER).run(timedelta(days=1), seen)
        self._tell()

    def _prove(self) -> None:
        for name in LOGS:
            proof = log_proof(self._store, name)
            proof.grow()
            proof.sign()

    def _tell(self) -> None:
        heads = {name: log.head() for name, log in self._logs.items()}
        os.write(self._told, orjson.dumps(heads) + b"\n")


def main(root: str, rounds: str, told: str) -> None:
    """Write to a new store."""
    descriptor = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with create_store(Path(root)) as store, Views(store) as views:
        Writer(store, views, descriptor).play(int(rounds))
    os.close(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
