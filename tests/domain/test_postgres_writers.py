"""Writers of one log in PostgreSQL take turns; none of them can keep the turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from domain.storage.engine import LOGS
from domain.storage.failures import STORE_AWAY
from domain.storage.postgres_connections import told
from domain.storage.postgres_log import FROZEN_SECONDS, LogRecorder, log_schema, log_table
from tests.places import Place
from tests.postgres_server import find_binaries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.places import Databases

pytestmark = pytest.mark.skipif(find_binaries() is None, reason="there is no PostgreSQL server")


def test_nobody_waits_for_a_vacuum_nor_breaks_it_off(postgres: Databases, tmp_path: Path) -> None:
    with (
        postgres.migrated() as database,
        Place(tmp_path / "data", database).create() as store,
        psycopg.connect(database.url) as vacuum,
    ):
        for log in LOGS:
            # The lock that a vacuum holds for as long as it takes.
            vacuum.execute(
                sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(
                    sql.Identifier(log_schema(log), log_table(log))
                )
            )

        store.check_writable()
        for application in (store.monitoring, store.checks):
            recorder = cast("LogRecorder", application.recorder)
            assert len(recorder.append([(str(uuid4()), 1, "Topic", b"{}")])) == 1


def test_writer_that_froze_while_it_had_its_turn_loses_it(
    postgres: Databases, tmp_path: Path
) -> None:
    with (
        postgres.migrated() as database,
        Place(tmp_path / "data", database).create() as store,
        psycopg.connect(database.url) as frozen,
    ):
        recorder = cast("LogRecorder", store.checks.recorder)
        for statement in recorder._let_in:
            frozen.execute(statement)
        began = time.monotonic()
        recorder.append([(str(uuid4()), 1, "CheckPerformed", b"{}")])

        assert FROZEN_SECONDS - 1 < time.monotonic() - began < FROZEN_SECONDS + 4
        # Whoever comes back finds the store away, and looks what was stored.
        with pytest.raises(STORE_AWAY), told("the database"):
            frozen.execute("SELECT 1")
