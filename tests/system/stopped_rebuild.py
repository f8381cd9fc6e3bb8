"""A command that is stopped in the middle of making the view `checks`, by the program itself."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from projections.catalog import Views
from store.store import open_store
from tests.system.service import CLEAN, ROOT
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_PROGRAM = """
import os, signal, sys
from cli.main import main
from projections import catalog
from projections.core import projector
from tests.projections.folding import with_batches_of

catalog.PROJECTIONS = with_batches_of(10)
step = projector.Rebuilder.step

def step_and_stop(self):
    done = step(self)
    if self._projection.name == "checks":
        os.kill(os.getpid(), signal.SIGSTOP)
    return done

projector.Rebuilder.step = step_and_stop
sys.exit(main(sys.argv[1:]))
"""
"""The command with many transactions where there would be one; it stops after the first."""


@contextmanager
def stopped_rebuild(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command on a folder until it stops; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=ROOT,
        env={**CLEAN, "POSTWATCH_DATA": str(data)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with open_store(data) as store, Views(store) as views:
            view = views.projector("checks").view
            wait_until(lambda: view.position("shadow") > 0, what="the shadow has rows")
        yield process
    finally:
        process.kill()
        process.communicate()
