"""The last check of each of the demo's monitors, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

from cli.terminal.output import camel_case
from service.visible_text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cli.demo.monitors import DemoMonitor
    from projections.core.table import Record
    from projections.readers.monitors import MonitorReader


@dataclass(frozen=True, slots=True)
class DemoResult:
    """A monitor with its last check; before the first one the values are None or 0."""

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
        """Return JSON-native values by camelCase keys."""
        values = {**asdict(self), "warnings": list(self.warnings)}
        return {camel_case(name): value for name, value in values.items()}


def read_results(reader: MonitorReader, monitors: Mapping[str, DemoMonitor]) -> list[DemoResult]:
    """Return the results in the order of the monitors, which are given by public id."""
    return [
        _result(monitor, next(iter(reader.last_checks(public_id)), None))
        for public_id, monitor in monitors.items()
    ]


def _result(monitor: DemoMonitor, check: Record | None) -> DemoResult:
    server = monitor.server
    if check is None:
        return DemoResult(monitor.name, monitor.protocol, server.host, server.port)
    outcome = check["outcome"]
    return DemoResult(
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
        # The position of the last check in its stream is the number of checks so far.
        checks=int(check["check_id"].rpartition("/")[2]),
    )


def results_table(results: Sequence[DemoResult], now: datetime, width: int) -> Table:
    """Return the table for a terminal of `width` columns; ages of checks count from `now`.

    Any width shows the server and the reason. A narrow table leaves out the other columns,
    and shows of the server its protocol and port: all listen on one address.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    shown = [column for column in _COLUMNS if column.from_width <= width < column.to_width]
    for column in shown:
        is_reason = column.heading == _REASON
        table.add_column(
            column.heading,
            no_wrap=not is_reason,
            overflow="fold" if is_reason else "ellipsis",
            justify="right" if column.is_number else "left",
        )
    for result in results:
        table.add_row(*(column.cell(result, now) for column in shown))
    return table


@dataclass(frozen=True, slots=True)
class _ResultColumn:
    """A column, and the widths of terminals that show it."""

    heading: str
    cell: Callable[[DemoResult, datetime], Text]
    from_width: int = 0
    to_width: int = 1_000_000
    is_number: bool = False


def _server(result: DemoResult, _now: datetime) -> Text:
    return Text(f"{result.protocol} {result.host}:{result.port}", "dim")


def _port(result: DemoResult, _now: datetime) -> Text:
    return Text(f"{result.protocol} :{result.port}", "dim")


def _status(result: DemoResult, _now: datetime) -> Text:
    if result.status is None:
        return Text("-")
    if result.status != "up":
        return Text(result.status, "bold red")
    return Text(result.status, "bold yellow" if result.warnings else "bold green")


def _reason(result: DemoResult, _now: datetime) -> Text:
    return Text(visible("; ".join(result.warnings) or result.message or "not checked yet"))


def _time(result: DemoResult, _now: datetime) -> Text:
    if result.total_ms is None:
        return Text("-")
    return Text(f"{result.total_ms:.{0 if result.total_ms >= _WHOLE_FROM_MS else 1}f} ms")


def _age(result: DemoResult, now: datetime) -> Text:
    if result.checked_at is None:
        return Text("-")
    seconds = (now - datetime.fromisoformat(result.checked_at)).total_seconds()
    return Text(f"{max(0, int(seconds))} s")


_WHOLE_FROM_MS: Final = 100
_REASON: Final = "Reason"

_COLUMNS: Final = (
    _ResultColumn("Monitor", lambda result, _: Text(visible(result.name))),
    _ResultColumn("Server", _port, to_width=120),
    _ResultColumn("Server", _server, from_width=120),
    _ResultColumn("Status", _status),
    _ResultColumn("Category", lambda result, _: Text(result.category or "-"), from_width=140),
    _ResultColumn(_REASON, _reason),
    _ResultColumn("Time", _time, from_width=100, is_number=True),
    _ResultColumn("Age", _age, from_width=100, is_number=True),
    _ResultColumn(
        "Checks", lambda result, _: Text(str(result.checks)), from_width=120, is_number=True
    ),
)
