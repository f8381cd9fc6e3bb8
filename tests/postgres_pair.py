"""A primary and its synchronous standby on loopback, for tests of a failover."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import psycopg

from soak.room import family
from tests.mailservers.processes import free_ports
from tests.postgres_server import USER, postgres_server, run, start
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresServer


SETTINGS: Final = {"fsync": "off", "wal_keep_size": "64MB"}
"""What is killed here is a process and no machine: what it wrote stays."""

_NAME: Final = "standby"


class Pair:
    """Two servers. `primary` is the one that can be written to."""

    def __init__(self, primary: PostgresServer, home: Path) -> None:
        self.primary = primary
        self.standby: PostgresServer | None = None
        self._home = home
        self._ports = (primary.port, free_ports(1)[0])
        self._number = 0

    @property
    def url(self) -> str:
        """Where the primary is, whichever of the two that is now."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"postgresql://{USER}@{hosts}/postgres"

    def join(self) -> None:
        """Make a standby; from now on the primary acknowledges nothing that it does not have."""
        (port,) = set(self._ports) - {self.primary.port}
        self._number += 1
        data = self._home / f"standby-{self._number}"
        source = f"{self.primary.url()}?application_name={_NAME}"
        programs = self.primary.binaries
        run([programs / "pg_basebackup", "-R", "-D", data, "-c", "fast", "-d", source], self._home)
        self.standby = start(programs, data, SETTINGS, port)
        self._wait_for_standbys(_NAME)

    def fail_over(self, meanwhile: Callable[[], None]) -> float:
        """Kill the primary as its host's end would, and let the standby take its place.

        All at once: a server that only lost its parent stops waiting for the standby, and for
        a moment shows others what is nowhere else. `meanwhile` is called when there is no
        primary. Returns when the promotion began, on the monotonic clock.
        """
        assert self.standby is not None
        for how in (signal.SIGSTOP, signal.SIGKILL):
            for pid in family(self.primary.process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, how)
        self.primary.process.wait()
        shutil.rmtree(self.primary.folder)
        meanwhile()
        began = time.monotonic()
        self.primary, self.standby = self.standby, None
        with psycopg.connect(self.primary.url(), autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true, 30)")
            # The copy has it from the old primary if that had it when it was made.
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            connection.execute("SELECT pg_reload_conf()")
        return began

    def stop(self) -> None:
        """End both."""
        for server in (self.standby, self.primary):
            if server is not None:
                server.stop()

    def _wait_for_standbys(self, names: str) -> None:
        with psycopg.connect(self.primary.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = standby")
            connection.execute("SELECT pg_reload_conf()")
            wait_until(
                lambda: (
                    connection.execute(
                        "SELECT sync_state FROM pg_stat_replication WHERE application_name = %s",
                        (names,),
                    ).fetchone()
                    == ("sync",)
                ),
                what="a synchronous standby",
            )


@contextmanager
def postgres_pair() -> Iterator[Pair]:
    """Run a primary with a synchronous standby while the block runs."""
    with postgres_server(SETTINGS) as first:
        pair = Pair(first, first.folder.parent)
        try:
            pair.join()
            yield pair
        finally:
            pair.stop()
