"""A model of Postwatch in plain dictionaries: the expected content of logs and views.

Written from the documents, not from the code: it folds nothing, seals nothing, and knows
the expected rows after each single event.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Row = dict[str, Any]
Rows = dict[str, dict[str, Row]]
"""Rows by key, by table."""

MASK = "********"
CUSTOMER_FIELDS: Row = {
    "notification_email": None,
    "notification_phone_number": None,
    "package_type": None,
    "status": "active",
    "allowed_check_country_codes": None,
    "custom_fields": None,
    "monthly_reports_enabled": True,
    "alert_location_threshold_count": 1,
}
VIEWS = {
    "monitors": (
        "organizations",
        "customers",
        "tokens",
        "locations",
        "monitors",
        "maintenance_windows",
        "notification_channels",
        "tags",
        "package_configs",
        "monitor_tags",
    ),
    "checks": ("last_checks",),
}
LOG_OF = {"monitors": "monitoring", "checks": "checks"}


class Entry(NamedTuple):
    """An event as the model knows it: its topic, what it is about, its version or number."""

    topic: str
    about: str
    version: int


class Model:
    """The expected state. `past` holds the rows of each view after each event of its log.

    `time` is that of the command, `times` that of each event of the `monitoring` log.

    No row and no table is ever changed in its place, so that the past may share them.
    """

    def __init__(self) -> None:
        self.rows: Rows = {table: {} for tables in VIEWS.values() for table in tables}
        self.deleted: set[str] = set()
        self.versions: dict[str, int] = {}
        self.numbers: dict[str, int] = {}
        self.requests: dict[str, tuple[object, str]] = {}
        self.history: dict[str, list[Entry]] = {"monitoring": [], "checks": [], "incidents": []}
        self.past: dict[str, list[Rows]] = {view: [self._shown(view)] for view in VIEWS}
        self.time = ""
        self.times: list[str] = []

    def copy(self) -> Model:
        """Return a model that goes its own way from here on."""
        other = Model()
        other.rows, other.deleted = dict(self.rows), set(self.deleted)
        other.versions, other.numbers = dict(self.versions), dict(self.numbers)
        other.requests = dict(self.requests)
        other.history = {log: list(entries) for log, entries in self.history.items()}
        other.past = {view: list(rows) for view, rows in self.past.items()}
        other.time, other.times = self.time, list(self.times)
        return other

    def shown_at(self, view: str, position: int) -> Rows:
        """Return the rows of a view that has read its log up to a position."""
        return self.past[view][position]

    def position_at(self, time: str) -> int:
        """Return where the `monitoring` log ended at the end of a millisecond."""
        return sum(each <= time for each in self.times)

    def next_number(self, sort: str) -> int:
        """Return the number that the next thing of a sort gets."""
        return self.numbers.get(sort, 0) + 1

    def create(
        self, topic: str, sort: str, table: str, public_id: str, row: Row, *, request: str = ""
    ) -> None:
        """Let a thing come into being under the number in its row."""
        self.numbers[sort] = row["number"]
        if request:
            self._note("monitoring", "RequestAnswered", request, 1)
        self._note("monitoring", "Registered", sort, row["number"])
        self.versions[public_id] = 1
        self._put(table, public_id, row)
        self._note("monitoring", topic, public_id, 1)

    def change(self, topic: str, table: str, public_id: str, changes: Row, now: str) -> bool:
        """Change fields of a thing; return whether that changed anything."""
        row = self.rows[table][public_id]
        real = {name: value for name, value in changes.items() if row[name] != value}
        if not real:
            return False
        version = self.bump(public_id)
        own = {"version": version} if "version" in row else {}
        times = {"updated_at": now} if "updated_at" in row else {}
        self._put(table, public_id, {**row, **real, **own, **times})
        self._note("monitoring", topic, public_id, version)
        return True

    def delete(self, public_id: str) -> None:
        """Let a monitor go."""
        self.rows["monitors"] = {k: v for k, v in self.rows["monitors"].items() if k != public_id}
        self.deleted.add(public_id)
        self._note("monitoring", "MonitorDeleted", public_id, self.bump(public_id))

    def check(self, stream: str, row: Row) -> None:
        """Let a check be made; `row` is the last check from now on, without its id."""
        version = self.bump(stream)
        self._put("last_checks", stream, {"check_id": f"{stream}/{version}", **row})
        self._note("checks", "CheckPerformed", stream, version)

    def bump(self, stream: str) -> int:
        """Return the next version of a stream."""
        self.versions[stream] = self.versions.get(stream, 0) + 1
        return self.versions[stream]

    def _put(self, table: str, key: str, row: Row) -> None:
        self.rows[table] = {**self.rows[table], key: row}

    def _note(self, log: str, topic: str, about: str, version: int) -> None:
        self.history[log].append(Entry(topic, about, version))
        if log == "monitoring":
            self.times.append(self.time)
        for view, its_log in LOG_OF.items():
            if its_log == log:
                self.past[view].append(self._shown(view))

    def _shown(self, view: str) -> Rows:
        return {table: self.rows[table] for table in VIEWS[view]}
