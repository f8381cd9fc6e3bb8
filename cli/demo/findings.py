"""What the demo's monitors found so far: rows from the views, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cli.demo.monitors import DemoMonitor
    from projections.reader import Reader
    from projections.view import Record


@dataclass(frozen=True, slots=True)
class Finding:
    """One monitor with its last check; all None and 0 before the first one."""

    name: str
    protocol: str
    host: str
    port: int
    status: str | None = None
    category: str | None = None
    message: str | None = None
    warnings: tuple[str, ...] = ()
    total_ms: float | None = None
    checked_at: str | None = None
    checks: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return JSON-native values."""
        return {**asdict(self), "warnings": list(self.warnings)}


def read_findings(reader: Reader, monitors: Mapping[str, DemoMonitor]) -> list[Finding]:
    """Return what was found, in the order of the monitors, which are given by public id."""
    return [
        _finding(monitor, next(iter(reader.last_checks(public_id)), None))
        for public_id, monitor in monitors.items()
    ]


def _finding(monitor: DemoMonitor, check: Record | None) -> Finding:
    server = monitor.server
    if check is None:
        return Finding(monitor.name, monitor.protocol, server.host, server.port)
    outcome = check["outcome"]
    return Finding(
        monitor.name,
        monitor.protocol,
        server.host,
        server.port,
        status=outcome["verdict"],
        category=outcome["category"],
        message=outcome["message"],
        warnings=tuple(each["message"] for each in outcome["warnings"]),
        total_ms=outcome["timings"].get("total"),
        checked_at=check["checked_at"],
        # The last check's place in its stream is the number of checks so far.
        checks=int(check["check_id"].rpartition("/")[2]),
    )


def findings_table(findings: Sequence[Finding], now: datetime, width: int) -> Table:
    """Return the table for so many columns of a terminal; ages of checks count from `now`.

    One line for each monitor where it is narrow: what was found shrinks to its category.
    """
    shown = [column for column in _COLUMNS if width >= column.from_width]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in shown:
        folds = column.heading == "Found"
        table.add_column(
            column.heading,
            no_wrap=not folds,
            overflow="fold" if folds else "ellipsis",
            justify="right" if column.is_number else "left",
        )
    for finding in findings:
        table.add_row(*(column.cell(finding, now) for column in shown))
    return table


@dataclass(frozen=True, slots=True)
class _Column:
    """A column, and the narrowest terminal that has room for it."""

    heading: str
    cell: Callable[[Finding, datetime], Text]
    from_width: int = 0
    is_number: bool = False


def _server(finding: Finding, _now: datetime) -> Text:
    return Text(f"{finding.protocol} {finding.host}:{finding.port}", "dim")


def _status(finding: Finding, _now: datetime) -> Text:
    if finding.status is None:
        return Text("-")
    if finding.status != "up":
        return Text(finding.status, "bold red")
    return Text(finding.status, "bold yellow" if finding.warnings else "bold green")


def _found(finding: Finding, _now: datetime) -> Text:
    return Text("; ".join(finding.warnings) or finding.message or "not checked yet")


def _time(finding: Finding, _now: datetime) -> Text:
    if finding.total_ms is None:
        return Text("-")
    return Text(f"{finding.total_ms:.{0 if finding.total_ms >= _WHOLE_FROM_MS else 1}f} ms")


def _age(finding: Finding, now: datetime) -> Text:
    if finding.checked_at is None:
        return Text("-")
    seconds = (now - datetime.fromisoformat(finding.checked_at)).total_seconds()
    return Text(f"{max(0, int(seconds))} s")


_WHOLE_FROM_MS: Final = 100

_COLUMNS: Final = (
    _Column("Monitor", lambda finding, _: Text(finding.name)),
    _Column("Server", _server, from_width=100),
    _Column("Status", _status),
    _Column("Category", lambda finding, _: Text(finding.category or "-")),
    _Column("Found", _found, from_width=140),
    _Column("Time", _time, is_number=True),
    _Column("Age", _age, is_number=True),
    _Column("Checks", lambda finding, _: Text(str(finding.checks)), is_number=True),
)
