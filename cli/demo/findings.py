"""What the demo's monitors found so far: rows from the views, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def findings_table(findings: Sequence[Finding], now: datetime) -> Table:
    """Return the table for a terminal; `now` is what the age of a check is counted from."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("Monitor", no_wrap=True)
    table.add_column("Server", no_wrap=True, style="dim")
    table.add_column("Status", no_wrap=True)
    table.add_column("Category", no_wrap=True)
    table.add_column("Found", overflow="fold", ratio=1)
    table.add_column("Time", no_wrap=True, justify="right")
    table.add_column("Checked", no_wrap=True, justify="right")
    table.add_column("Checks", no_wrap=True, justify="right")
    for finding in findings:
        table.add_row(*_cells(finding, now))
    return table


def _cells(finding: Finding, now: datetime) -> list[Text]:
    server = f"{finding.protocol} {finding.host}:{finding.port}"
    if finding.status is None:
        return [Text(each) for each in (finding.name, server, "-", "-", "not yet", "", "", "0")]
    return [
        Text(finding.name),
        Text(server),
        Text(finding.status, _style(finding)),
        Text(finding.category or ""),
        Text("; ".join(finding.warnings) or finding.message or ""),
        Text("-" if finding.total_ms is None else f"{finding.total_ms:.1f} ms"),
        Text(_age(finding.checked_at, now)),
        Text(str(finding.checks)),
    ]


def _style(finding: Finding) -> str:
    if finding.status != "up":
        return "bold red"
    return "bold yellow" if finding.warnings else "bold green"


def _age(checked_at: str | None, now: datetime) -> str:
    if checked_at is None:
        return "-"
    seconds = (now - datetime.fromisoformat(checked_at)).total_seconds()
    return f"{max(0, int(seconds))} s ago"
