"""A store as one process has it open: logs, views, and what is compared with the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.config_secrets import mask_secrets
from projections.catalog import PROJECTIONS, Views
from soak.model import Entry
from store.log_reader import LogReader
from store.ports.engine import LOGS
from store.proving import log_proof, verify
from store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path

    from projections.core.table import View
    from soak.model import Rows
    from store.log_reader import LoggedEvent


EVERYTHING = 1_000_000
_NUMBERS = uuid5(NAMESPACE_URL, "urn:postwatch:numbers")
_SORTS = {
    str(uuid5(_NUMBERS, sort)): sort
    for sort in ("organization", "customer", "access_token", "smtp", "imap_pop", "location")
}
"""The streams that hand out numbers, as the format of exports promises them."""


class Hand:
    """An open store with its views, as one process has them. `clock` gives the time of commands."""

    def __init__(self, root: Path, clock: Callable[[], datetime]) -> None:
        self.store = open_store(root)
        self.store.monitoring.clock = clock
        self.views = Views(self.store)

    def close(self) -> None:
        """Close the store and its views."""
        self.views.close()
        self.store.close()

    def history(self, log: str) -> list[LoggedEvent]:
        """Return a log from its beginning."""
        application = {
            "monitoring": self.store.monitoring,
            "checks": self.store.checks,
            "incidents": self.store.incidents,
        }[log]
        return list(LogReader(application).after(0, EVERYTHING))

    def shown(self, name: str) -> tuple[int, Rows]:
        """Return position and rows of a view as they are now, secrets masked."""
        view = self.views.projector(name).view
        position = view.position() if view.is_current() else 0
        return position, masked(_rows(name, view))

    def clear_configs(self) -> dict[str, Any]:
        """Return the config of every monitor in the view, its secret opened."""
        found = {}
        for key, record in _rows("monitors", self.views.projector("monitors").view)[
            "monitors"
        ].items():
            kind, config = record["kind"], record["config"]
            found[key] = self.store.monitoring.unsealed(UUID(key), kind, config)
        return found

    def prove(self) -> dict[str, int]:
        """Grow and sign the trees, verify both logs; return how many events each covers."""
        covered = {}
        for log in LOGS:
            proof = log_proof(self.store, log)
            proof.grow()
            proof.sign()
            report = verify(proof)
            assert report.ok, report.findings
            covered[log] = report.events
        return covered


def masked(rows: Rows) -> Rows:
    """Return rows in which no config shows its secret."""
    monitors = {
        key: {**row, "config": mask_secrets(row["config"])}
        for key, row in rows.get("monitors", {}).items()
    }
    return {**rows, "monitors": monitors} if "monitors" in rows else rows


def entries(events: Iterable[LoggedEvent]) -> list[Entry]:
    """Return events in the words of the model."""
    return [_entry(each.event) for each in events]


def _entry(event: Any) -> Entry:  # noqa: ANN401 - any event
    about = str(event.originator_id)
    return Entry(type(event).TOPIC, _SORTS.get(about, about), event.originator_version)


def _rows(name: str, view: View) -> Rows:
    (projection,) = [each for each in PROJECTIONS if each.name == name]
    if not view.is_current():
        # It waits for a rebuild, as after a move to another folder: readers see nothing.
        return {table.name: {} for table in projection.tables}
    return {table.name: dict(view.rows(table)) for table in projection.tables}
