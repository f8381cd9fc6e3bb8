"""`postwatch demo`: mail servers, a Postwatch that watches them, and a live table.

What the demo's monitors found so far: rows from the views, as a table and as JSON.

Signals that end the demo where it waits, and never between a deed and its note.

A signal that raised anywhere could come after a folder was made or a process started, and
before anybody knew of it: then nobody would remove or stop it.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import click
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.demo.monitors import demo_monitors
from cli.demo.servers import DemoUnavailableError, demo_servers
from cli.demo.service import running_service
from cli.terminal.output import console, print_json
from domain.clock import utc_now
from projections.catalog import Views
from service.errors import CommandError, ExitCode, exit_on_failure
from store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType, TracebackType

    from rich.console import RenderableType

    from cli.demo.monitors import DemoMonitor
    from cli.demo.service import Service
    from projections.core.table import Record
    from projections.readers.monitors import MonitorReader


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


def read_findings(reader: MonitorReader, monitors: Mapping[str, DemoMonitor]) -> list[Finding]:
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


STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Takes the signals while its block runs; the first one interrupts, the others nothing."""

    def __init__(self) -> None:
        self._came = False
        self._may_interrupt = False
        handlers = {each: signal.getsignal(each) for each in STOP_SIGNALS}
        # What is ignored stays so: a demo behind nohup outlives its terminal.
        self._before = {each: old for each, old in handlers.items() if old is not signal.SIG_IGN}

    def __enter__(self) -> Self:
        """Take the signals."""
        for each in self._before:
            signal.signal(each, self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for each, handler in self._before.items():
            signal.signal(each, handler)

    @contextmanager
    def may_interrupt(self) -> Iterator[None]:
        """Let a signal end this block, also one that came before it.

        Raises:
            KeyboardInterrupt: A signal came.
        """
        self._may_interrupt = True
        try:
            if self._came:
                raise KeyboardInterrupt
            yield
        finally:
            self._may_interrupt = False

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        first, self._came = not self._came, True
        if first and self._may_interrupt:
            raise KeyboardInterrupt


FIRST_CHECKS_SECONDS: Final = 60.0
_REFRESH_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.05


@click.command()
@click.option("--once", is_flag=True, help="End when every monitor was checked once.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print one JSON object.")
def demo(*, once: bool, as_json: bool) -> None:
    """Watch real mail servers on this machine, healthy and broken, until Ctrl-C.

    Starts the servers and a Postwatch in a temporary folder, creates a monitor for each
    through the REST API, and shows what the checks find. Everything is stopped and
    removed at the end. Needs the extra packages: pip install 'postwatch[demo]'.
    """
    if as_json and not once:
        raise click.UsageError("--json needs --once")
    try:
        with exit_on_failure(), StopSignals() as signals, ExitStack() as stack:
            print("Starting mail servers and Postwatch ...", file=sys.stderr)
            watch = _start(stack)
            with signals.may_interrupt():
                if once:
                    _show(watch.first_findings(), as_json=as_json)
                else:
                    watch.show_until_stopped()
    except KeyboardInterrupt:
        print("The demo is stopped, its data removed.", file=sys.stderr)
        sys.exit(ExitCode.FAILED if once else ExitCode.OK)


def _start(stack: ExitStack) -> Watch:
    """Start everything; the stack stops and removes it again."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwatch-demo-")))
    try:
        servers = stack.enter_context(demo_servers(folder))
    except DemoUnavailableError as error:
        raise CommandError(ExitCode.FAILED, str(error)) from None
    service = stack.enter_context(running_service(folder, servers.ca_file))
    monitors = {service.create(each): each for each in demo_monitors(servers)}
    store = stack.enter_context(open_store(service.data))
    views = stack.enter_context(Views(store))
    return Watch(service, views.reader, monitors)


def _show(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json({"monitors": [each.as_json() for each in findings]})
    else:
        out = console()
        out.print(findings_table(findings, utc_now(), out.width))


class Watch:
    """A running demo and the view of its checks."""

    def __init__(
        self, service: Service, reader: MonitorReader, monitors: dict[str, DemoMonitor]
    ) -> None:
        self._service = service
        self._reader = reader
        self._monitors = monitors
        self._pause = threading.Event()

    def first_findings(self, seconds: float = FIRST_CHECKS_SECONDS) -> list[Finding]:
        """Wait until every monitor was checked. Raises CommandError after so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            findings = self._findings()
            if all(each.checks for each in findings):
                return findings
            self._pause.wait(_LOOK_SECONDS)
        raise CommandError(ExitCode.FAILED, f"not every monitor was checked within {seconds:g} s")

    def show_until_stopped(self) -> NoReturn:
        """Show the table until a signal ends it."""
        out = console()
        with Live(console=out, auto_refresh=False) as live:
            while True:
                live.update(self._screen(out.width), refresh=True)
                self._pause.wait(_REFRESH_SECONDS)

    def _findings(self) -> list[Finding]:
        self._service.require_running()
        return read_findings(self._reader, self._monitors)

    def _screen(self, width: int) -> RenderableType:
        return Group(
            findings_table(self._findings(), utc_now(), width),
            Text(f"\nAPI: {self._service.api}   Ctrl-C ends the demo", "dim"),
        )
